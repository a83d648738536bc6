import { Alert, Button, Form, FormGroup, Label, Modal, ModalBody, ModalFooter, ModalHeader, TextInput, Title } from "@patternfly/react-core";
import { useId, useState } from "react";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { useRemoveSecondFactor } from "../api/secondFactor";
import { SetUpSecondFactor } from "./SetUpSecondFactor";

const few = 3;

/** Whether the user signs in with a second factor, and the ways to change that. */
export function SecondFactor({ isOn, codesLeft }: { isOn: boolean; codesLeft: number }) {
  const [asked, setAsked] = useState<"" | "set up" | "remove">("");
  const close = () => setAsked("");
  return (
    <section className="sl-section" aria-label="Second factor">
      <Title headingLevel="h2" size="lg">
        Second factor
        {isOn && (
          <Label isCompact color="green">
            On
          </Label>
        )}
      </Title>
      <p className="sl-account__about sl-subtle">
        {isOn
          ? `Signing in takes a code of your authenticator app, or one of the ${codesLeft} recovery codes that are left.`
          : "With it, signing in also takes a code that an app on your phone shows: a stolen password alone lets nobody in."}
      </p>
      {isOn && codesLeft <= few && (
        <Alert
          isInline
          variant="warning"
          component="h3"
          className="sl-account__about"
          title="Few recovery codes are left. Remove the second factor and set it up again: that makes new ones."
        />
      )}
      {isOn ? (
        <Button variant="secondary" isDanger onClick={() => setAsked("remove")}>
          Remove second factor
        </Button>
      ) : (
        <Button variant="secondary" onClick={() => setAsked("set up")}>
          Set up a second factor
        </Button>
      )}
      {asked === "set up" && <SetUpSecondFactor onClose={close} />}
      {asked === "remove" && <Removal onClose={close} />}
    </section>
  );
}

function Removal({ onClose }: { onClose: () => void }) {
  const id = useId();
  const [password, setPassword] = useState("");
  const remove = useRemoveSecondFactor();
  const toasts = useToasts();
  const submit = () => {
    if (password === "" || remove.isPending) {
      return;
    }
    remove.mutate(password, {
      onSuccess: () => {
        toasts.success("The second factor is removed");
        onClose();
      },
    });
  };
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} elementToFocus={`[id="${id}-password"]`} onClose={onClose}>
      <ModalHeader title="Remove the second factor?" titleIconVariant="warning" labelId={`${id}-title`} />
      <ModalBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <p>From then on your password alone lets in. Your recovery codes are void.</p>
          {remove.error && <ProblemAlert title="The second factor stays" error={remove.error} />}
          <FormGroup label="Your password" fieldId={`${id}-password`} isRequired>
            <TextInput
              id={`${id}-password`}
              type="password"
              autoComplete="current-password"
              isRequired
              value={password}
              onChange={(_event, value) => {
                remove.reset();
                setPassword(value);
              }}
            />
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button variant="danger" isDisabled={password === "" || remove.isPending} isLoading={remove.isPending} onClick={submit}>
          Remove
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}

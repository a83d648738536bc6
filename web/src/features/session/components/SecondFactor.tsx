import {
  Alert,
  Button,
  Form,
  FormGroup,
  Label,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  TextInput,
  Title,
} from "@patternfly/react-core";
import { useId, useState } from "react";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { isConfirmationRefused } from "../confirm";
import { useBeginSecondFactor, useRemoveSecondFactor } from "../api/secondFactor";
import { SetUpSecondFactor } from "./SetUpSecondFactor";

const few = 3;

/** Shows whether two-factor authentication is on, with buttons to turn it on or off. */
export function SecondFactor({ isOn, codesLeft }: { isOn: boolean; codesLeft: number }) {
  const [isRemoving, setRemoving] = useState(false);
  const begin = useBeginSecondFactor();
  return (
    <section className="sl-section" aria-label="Two-factor authentication">
      <Title headingLevel="h2" size="lg">
        Two-factor authentication
        {isOn && (
          <Label isCompact color="green">
            On
          </Label>
        )}
      </Title>
      <p className="sl-account__about sl-subtle">
        {isOn
          ? `Sign-in requires a code from your authenticator app, or one of your ${codesLeft} remaining recovery codes.`
          : "Require a code from an app on your phone when you sign in."}
      </p>
      {isOn && codesLeft <= few && (
        <Alert
          isInline
          variant="warning"
          component="h3"
          className="sl-account__about"
          title="Few recovery codes are left. Turn two-factor authentication off and set it up again to get new ones."
        />
      )}
      {begin.error && !isConfirmationRefused(begin.error) && (
        <div className="sl-account__about">
          <ProblemAlert title="Couldn't set up two-factor authentication" error={begin.error} />
        </div>
      )}
      {isOn ? (
        <Button variant="secondary" isDanger onClick={() => setRemoving(true)}>
          Turn off two-factor authentication
        </Button>
      ) : (
        <Button
          variant="secondary"
          isDisabled={begin.isPending}
          isLoading={begin.isPending}
          onClick={() => begin.mutate()}
        >
          Set up two-factor authentication
        </Button>
      )}
      {begin.data && <SetUpSecondFactor enrolment={begin.data} onClose={begin.reset} />}
      {isRemoving && <Removal onClose={() => setRemoving(false)} />}
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
        toasts.success("Two-factor authentication is off");
        onClose();
      },
    });
  };
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby={`${id}-title`}
      elementToFocus={`[id="${id}-password"]`}
      onClose={onClose}
    >
      <ModalHeader title="Turn off two-factor authentication?" titleIconVariant="warning" labelId={`${id}-title`} />
      <ModalBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          <p>You'll sign in with your password only. Your recovery codes stop working.</p>
          {remove.error && <ProblemAlert title="Couldn't turn off two-factor authentication" error={remove.error} />}
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
        <Button
          variant="danger"
          isDisabled={password === "" || remove.isPending}
          isLoading={remove.isPending}
          onClick={submit}
        >
          Turn off
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}

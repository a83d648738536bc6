import {
  Alert,
  Button,
  Form,
  FormGroup,
  List,
  ListItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  Skeleton,
  Stack,
  StackItem,
  TextInput,
} from "@patternfly/react-core";
import { useQueryClient } from "@tanstack/react-query";
import { lazy, Suspense, useId, useState } from "react";

import { CopyButton } from "../../../shared/ui/CopyButton";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { type Enrolment, useConfirmSecondFactor } from "../api/secondFactor";
import { sessionKey } from "../api/session";

// Loaded only during set-up.
const QRCode = lazy(() => import("./QRCode"));

/** Shows the secret as a QR code, asks for a code to confirm it, then shows the recovery codes until it is closed. */
export function SetUpSecondFactor({ enrolment, onClose }: { enrolment: Enrolment; onClose: () => void }) {
  const id = useId();
  const queries = useQueryClient();
  const confirm = useConfirmSecondFactor();
  const [code, setCode] = useState("");
  const codes = confirm.data;
  const submit = () => {
    if (code.trim() !== "" && !confirm.isPending) {
      confirm.mutate(code);
    }
  };
  const finish = () => {
    void queries.invalidateQueries({ queryKey: sessionKey });
    onClose();
  };
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} {...(codes ? {} : { onClose })}>
      <ModalHeader title={codes ? "Your recovery codes" : "Set up two-factor authentication"} labelId={`${id}-title`} />
      <ModalBody>
        {codes ? (
          <Stack hasGutter>
            <StackItem>
              <Alert
                isInline
                variant="warning"
                component="h2"
                title="Save these codes somewhere other than your phone. You won't see them again. Each works once."
              />
            </StackItem>
            <StackItem>
              <List isPlain className="sl-codes sl-mono" aria-label="Recovery codes">
                {codes.map((one) => (
                  <ListItem key={one}>{one}</ListItem>
                ))}
              </List>
            </StackItem>
            <StackItem>
              <CopyButton text={codes.join("\n")} label="Copy recovery codes" />
            </StackItem>
          </Stack>
        ) : (
          <Form
            onSubmit={(event) => {
              event.preventDefault();
              submit();
            }}
          >
            <p>Scan the QR code with an authenticator app, then enter the code it shows.</p>
            <div className="sl-qr">
              <Suspense fallback={<Skeleton width="200px" height="200px" screenreaderText="Loading" />}>
                <QRCode text={enrolment.uri} title="QR code for the authenticator app" />
              </Suspense>
            </div>
            <div className="sl-subtle sl-break">
              Or enter this key: <code data-totp-secret>{enrolment.secret}</code>{" "}
              <CopyButton text={enrolment.secret} label="Copy the key" />
            </div>
            {confirm.error && <ProblemAlert title="Two-factor authentication is still off" error={confirm.error} />}
            <FormGroup label="Code" fieldId={`${id}-code`} isRequired>
              <TextInput
                id={`${id}-code`}
                inputMode="numeric"
                autoComplete="one-time-code"
                isRequired
                value={code}
                onChange={(_event, value) => {
                  confirm.reset();
                  setCode(value);
                }}
              />
            </FormGroup>
          </Form>
        )}
      </ModalBody>
      <ModalFooter>
        {codes ? (
          <Button onClick={finish}>I've saved them</Button>
        ) : (
          <>
            <Button isDisabled={code.trim() === "" || confirm.isPending} isLoading={confirm.isPending} onClick={submit}>
              Turn on
            </Button>
            <Button variant="link" onClick={onClose}>
              Cancel
            </Button>
          </>
        )}
      </ModalFooter>
    </Modal>
  );
}

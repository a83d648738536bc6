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
import { useConfirmSecondFactor, useEnrolment } from "../api/secondFactor";
import { sessionKey } from "../api/session";

// Those who set a second factor up load what draws the code.
const QRCode = lazy(() => import("./QRCode"));

/** Shows the secret as a QR code, has it confirmed, and then shows the recovery codes until it is closed. */
export function SetUpSecondFactor({ onClose }: { onClose: () => void }) {
  const id = useId();
  const queries = useQueryClient();
  const enrolment = useEnrolment();
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
      <ModalHeader title={codes ? "Your recovery codes" : "Set up a second factor"} labelId={`${id}-title`} />
      <ModalBody>
        {codes ? (
          <Stack hasGutter>
            <StackItem>
              <Alert
                isInline
                variant="warning"
                component="h2"
                title="Keep these where your phone is not: they are shown this once. Each lets you in once when you have lost it."
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
              <CopyButton text={codes.join("\n")} label="Copy the recovery codes" />
            </StackItem>
          </Stack>
        ) : (
          <Form
            onSubmit={(event) => {
              event.preventDefault();
              submit();
            }}
          >
            {enrolment.error && (
              <ProblemAlert
                title="A second factor cannot be set up"
                error={enrolment.error}
                onRetry={() => void enrolment.refetch()}
              />
            )}
            <p>Scan this with an authenticator app on your phone, and enter the code that it shows then.</p>
            <div className="sl-qr">
              {enrolment.data ? (
                <Suspense fallback={<Skeleton width="200px" height="200px" screenreaderText="Loading" />}>
                  <QRCode text={enrolment.data.uri} title="QR code of the second factor" />
                </Suspense>
              ) : (
                <Skeleton width="200px" height="200px" screenreaderText="Loading" />
              )}
            </div>
            {enrolment.data && (
              <div className="sl-subtle sl-break">
                Or type this secret into the app: <code data-totp-secret>{enrolment.data.secret}</code>{" "}
                <CopyButton text={enrolment.data.secret} label="Copy the secret" />
              </div>
            )}
            {confirm.error && <ProblemAlert title="The second factor is not on yet" error={confirm.error} />}
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
          <Button onClick={finish}>I have kept them</Button>
        ) : (
          <>
            <Button
              isDisabled={!enrolment.data || code.trim() === "" || confirm.isPending}
              isLoading={confirm.isPending}
              onClick={submit}
            >
              Switch on
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

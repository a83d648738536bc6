import {
  Button,
  Form,
  FormGroup,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  Stack,
  StackItem,
  TextInput,
} from "@patternfly/react-core";
import { type ReactNode, useId, useState } from "react";

import { ProblemAlert } from "./ProblemAlert";

interface ConfirmDialogProps {
  /** A question that begins with the verb: "Delete ux?" */
  title: string;
  /** What will be lost. */
  children: ReactNode;
  /** The verb on the button: "Delete". */
  action: string;
  /** If set, the user must type it to enable the button. */
  typedName?: string;
  pending: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks for confirmation before something is lost. It stays open while the action runs, and shows why it failed. */
export function ConfirmDialog(props: ConfirmDialogProps) {
  const { title, children, action, typedName, pending, error, onConfirm, onClose } = props;
  const id = useId();
  const [typed, setTyped] = useState("");
  const allowed = typedName === undefined || typed === typedName;
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby={`${id}-title`}
      aria-describedby={`${id}-body`}
      onClose={onClose}
      {...(typedName === undefined ? {} : { elementToFocus: `[id="${id}-name"]` })}
    >
      <ModalHeader title={title} titleIconVariant="warning" labelId={`${id}-title`} />
      <ModalBody id={`${id}-body`}>
        <Stack hasGutter>
          <StackItem>{children}</StackItem>
          {typedName !== undefined && (
            <StackItem>
              <Form
                id={`${id}-form`}
                onSubmit={(event) => {
                  event.preventDefault();
                  if (allowed && !pending) {
                    onConfirm();
                  }
                }}
              >
                <FormGroup
                  fieldId={`${id}-name`}
                  label={
                    <>
                      Type <b>{typedName}</b> to confirm
                    </>
                  }
                >
                  <TextInput
                    id={`${id}-name`}
                    value={typed}
                    onChange={(_event, value) => setTyped(value)}
                    autoComplete="off"
                    autoCapitalize="off"
                    spellCheck={false}
                  />
                </FormGroup>
              </Form>
            </StackItem>
          )}
          {error !== null && error !== undefined && (
            <StackItem>
              <ProblemAlert
                title={`Couldn't ${title.charAt(0).toLowerCase()}${title.slice(1).replace(/\?$/, "")}`}
                error={error}
              />
            </StackItem>
          )}
        </Stack>
      </ModalBody>
      <ModalFooter>
        <Button variant="danger" isDisabled={!allowed || pending} isLoading={pending} onClick={onConfirm}>
          {action}
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}

import { Button, Form, Modal, ModalBody, ModalFooter, ModalHeader, type ModalProps } from "@patternfly/react-core";
import { type ReactNode, useId } from "react";

import { ProblemAlert } from "./ProblemAlert";

interface FormDialogProps {
  title: string;
  /** Below the title: what will happen. */
  description?: ReactNode;
  /** The fields. */
  children: ReactNode;
  /** The verb on the button: "Rename". */
  action: string;
  /** The title of an error: "Couldn't rename the node". */
  failure: string;
  variant?: NonNullable<ModalProps["variant"]>;
  /** A CSS selector of the field that gets the focus. */
  focus?: string;
  /** The action deletes something. */
  isDanger?: boolean;
  isReady: boolean;
  pending: boolean;
  error: unknown;
  onSubmit: () => void;
  onClose: () => void;
}

/** A form in a dialog. It stays open while the action runs, and shows why it failed. */
export function FormDialog(props: FormDialogProps) {
  const {
    title,
    description,
    children,
    action,
    failure,
    variant = "small",
    focus,
    isDanger = false,
    isReady,
    pending,
    error,
    onSubmit,
    onClose,
  } = props;
  const id = useId();
  const submit = () => {
    if (isReady && !pending) {
      onSubmit();
    }
  };
  return (
    <Modal
      isOpen
      variant={variant}
      aria-labelledby={`${id}-title`}
      onClose={onClose}
      {...(focus === undefined ? {} : { elementToFocus: focus })}
    >
      <ModalHeader title={title} labelId={`${id}-title`} description={description} />
      <ModalBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            submit();
          }}
        >
          {error !== null && error !== undefined && <ProblemAlert title={failure} error={error} />}
          {children}
          {/* Enter in a field submits the form, also if there are several fields. */}
          <input type="submit" hidden />
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          variant={isDanger ? "danger" : "primary"}
          isDisabled={!isReady || pending}
          isLoading={pending}
          onClick={submit}
        >
          {action}
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}

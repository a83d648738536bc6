import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { type ReactNode, useId } from "react";

import { Secret } from "./Secret";

interface SecretDialogProps {
  title: string;
  /** What to do with the secret. */
  warning: string;
  secret: string;
  /** The label of the copy button: "Copy password". */
  copyLabel: string;
  /** Below the secret. */
  children?: ReactNode;
  onClose: () => void;
}

/** Shows a secret only once; only its button closes the dialog. */
export function SecretDialog({ title, warning, secret, copyLabel, children, onClose }: SecretDialogProps) {
  const id = useId();
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`}>
      <ModalHeader title={title} labelId={`${id}-title`} />
      <ModalBody>
        <Secret warning={warning} secret={secret} copyLabel={copyLabel}>
          {children}
        </Secret>
      </ModalBody>
      <ModalFooter>
        <Button onClick={onClose}>Done</Button>
      </ModalFooter>
    </Modal>
  );
}

import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { type ReactNode, useId } from "react";

import { Secret } from "./Secret";

interface SecretDialogProps {
  title: string;
  /** What to do with it now. */
  warning: string;
  secret: string;
  /** For the button that copies it: "Copy the password". */
  copyLabel: string;
  /** Below the secret. */
  children?: ReactNode;
  onClose: () => void;
}

/** Shows a secret that cannot be seen again; only its button closes it. */
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

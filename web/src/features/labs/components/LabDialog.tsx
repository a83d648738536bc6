import { Button, Modal, ModalBody, ModalFooter, ModalHeader, Stack, StackItem } from "@patternfly/react-core";
import { type ReactNode, useId } from "react";

import { ProblemAlert } from "../../../shared/ui/ProblemAlert";

interface LabDialogProps {
  title: string;
  /** A form; it submits by itself, too. */
  children: (formID: string) => ReactNode;
  action: string;
  isReady: boolean;
  pending: boolean;
  error: unknown;
  onClose: () => void;
}

/** A dialog around one form, whose button submits it. It stays open while the request runs, and shows why it failed. */
export function LabDialog({ title, children, action, isReady, pending, error, onClose }: LabDialogProps) {
  const id = useId();
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} onClose={onClose}>
      <ModalHeader title={title} labelId={`${id}-title`} />
      <ModalBody>
        <Stack hasGutter>
          {error !== null && error !== undefined && (
            <StackItem>
              <ProblemAlert title="That did not work" error={error} />
            </StackItem>
          )}
          <StackItem>{children(`${id}-form`)}</StackItem>
        </Stack>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form={`${id}-form`} isDisabled={!isReady || pending} isLoading={pending}>
          {action}
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}

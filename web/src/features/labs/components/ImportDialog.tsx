import { Button, Modal, ModalBody, ModalFooter, ModalHeader, Progress, ProgressStep, ProgressStepper } from "@patternfly/react-core";
import { useId, useSyncExternalStore } from "react";

import { messageOf } from "../../../shared/api/problem";
import type { LabImport, Step } from "../importLab";

const variants: Record<Step["state"], "pending" | "info" | "success" | "danger"> = {
  waiting: "pending",
  running: "info",
  done: "success",
  failed: "danger",
};

interface ImportDialogProps {
  work: LabImport;
  /** Called to go on after a failure. */
  onRetry: () => void;
  onClose: () => void;
}

/** Shows an import step by step. */
export function ImportDialog({ work, onRetry, onClose }: ImportDialogProps) {
  const id = useId();
  const steps = useSyncExternalStore(work.subscribe, work.list);
  const done = steps.filter(({ state }) => state === "done").length;
  const failed = steps.find(({ state }) => state === "failed");
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} onClose={onClose}>
      <ModalHeader title="Import a lab" labelId={`${id}-title`} />
      <ModalBody>
        <Progress
          id={`${id}-progress`}
          title={failed ? "Stopped" : done === steps.length ? "Done" : "Making what the file describes"}
          value={Math.floor((done / steps.length) * 100)}
          {...(failed ? { variant: "danger" as const } : {})}
        />
        <ProgressStepper isVertical isCompact={false} className="sl-import" aria-label="Steps">
          {steps.map(({ what, state, error }, i) => (
            <ProgressStep
              key={i}
              id={`${id}-${i}`}
              titleId={`${id}-${i}-title`}
              variant={variants[state]}
              isCurrent={state === "running"}
              aria-label={`${what}: ${state}`}
              {...(error === undefined ? {} : { description: messageOf(error) })}
            >
              {what}
            </ProgressStep>
          ))}
        </ProgressStepper>
      </ModalBody>
      {failed && (
        <ModalFooter>
          <Button onClick={onRetry}>Try again from there</Button>
          <Button variant="link" onClick={onClose}>
            Keep what is made
          </Button>
        </ModalFooter>
      )}
    </Modal>
  );
}

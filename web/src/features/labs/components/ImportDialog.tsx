import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useEffect, useId } from "react";

import type { Job } from "../../../shared/api/types";
import { JobProgress } from "../../../shared/jobs/JobProgress";
import { useJobs } from "../../../shared/jobs/jobs";

interface ImportDialogProps {
  /** The import as it began. */
  started: Job;
  /** Called when the lab is there. */
  onDone: (lab: string) => void;
  onClose: () => void;
}

/** Shows how far an import is. It goes on without the dialog. */
export function ImportDialog({ started, onDone, onClose }: ImportDialogProps) {
  const id = useId();
  const job = useJobs().find((other) => other.id === started.id) ?? started;
  const { state, target } = job;
  useEffect(() => {
    if (state === "succeeded") {
      onDone(target.id);
    } else if (state === "cancelled") {
      onClose();
    }
  }, [state, target.id, onDone, onClose]);
  return (
    <Modal isOpen variant="small" aria-labelledby={`${id}-title`} onClose={onClose}>
      <ModalHeader title="Import a lab" labelId={`${id}-title`} />
      <ModalBody>
        {state === "failed" ? (
          <Alert isInline isLiveRegion variant="danger" component="h2" title="The lab cannot be imported">
            {job.error?.detail} What was made of it is removed again.
          </Alert>
        ) : (
          <>
            <JobProgress job={job} title="Making what the file describes" />
            <p className="sl-subtle">It goes on when you close this, and shows up under running work.</p>
          </>
        )}
      </ModalBody>
      <ModalFooter>
        <Button variant="secondary" onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}

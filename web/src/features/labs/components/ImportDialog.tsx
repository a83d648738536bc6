import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { useEffect, useId } from "react";

import type { Job } from "../../../shared/api/types";
import { JobProgress } from "../../../shared/jobs/JobProgress";
import { useJobs } from "../../../shared/jobs/jobs";

interface ImportDialogProps {
  /** The import job as it was started. */
  started: Job;
  /** Called when the lab has been created. */
  onDone: (lab: string) => void;
  onClose: () => void;
}

/** Shows the progress of an import, which continues when the dialog is closed. */
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
      <ModalHeader title="Import lab" labelId={`${id}-title`} />
      <ModalBody>
        {state === "failed" ? (
          <Alert isInline isLiveRegion variant="danger" component="h2" title="Couldn't import the lab">
            {job.error?.detail} Changes were rolled back.
          </Alert>
        ) : (
          <>
            <JobProgress job={job} title="Importing…" />
            <p className="sl-subtle">You can close this; the import continues in the background.</p>
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

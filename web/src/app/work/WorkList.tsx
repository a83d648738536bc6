import CheckCircleIcon from "@patternfly/react-icons/dist/esm/icons/check-circle-icon";
import ExclamationCircleIcon from "@patternfly/react-icons/dist/esm/icons/exclamation-circle-icon";
import TimesCircleIcon from "@patternfly/react-icons/dist/esm/icons/times-circle-icon";
import type { ReactNode } from "react";

import { UploadList } from "../../features/images/components/UploadList";
import { useLabs } from "../../features/labs/api/labs";
import { useNodes } from "../../features/nodes/api/listNodes";
import type { Job } from "../../shared/api/types";
import { JobProgress } from "../../shared/jobs/JobProgress";
import { jobTitle } from "../../shared/jobs/liveJobs";
import { Ago } from "../../shared/ui/Ago";
import { useAllImages } from "../useAllImages";
import type { Work } from "./useWork";
import "./work.css";

const signs: Partial<Record<Job["state"], ReactNode>> = {
  succeeded: <CheckCircleIcon />,
  failed: <ExclamationCircleIcon />,
  cancelled: <TimesCircleIcon />,
};

/** The running tasks with their progress and a way to cancel them, and the outcome of those that finished in the last minutes. */
export function WorkList({ work: { jobs, ended, uploads } }: { work: Work }) {
  const nodes = useNodes();
  const images = useAllImages();
  const labs = useLabs();
  const titleOf = (job: Job) => {
    const { type, id } = job.target;
    const names: Record<Job["target"]["type"], () => string | undefined> = {
      node: () => nodes.data?.find((node) => node.id === id)?.name,
      image: () => images?.find((image) => image.id === id)?.displayName || undefined,
      lab: () => labs.data?.find((lab) => lab.id === id)?.name,
      user: () => "", // accounts are identified by name, and this one is being deleted
    };
    return `${jobTitle(job)} ${names[type]() ?? id}`.trim();
  };
  return (
    <div className="sl-work">
      {uploads.length > 0 && <UploadList uploads={uploads} />}
      {jobs.length > 0 && (
        <ul className="sl-work" aria-label="Running jobs">
          {jobs.map((job) => (
            <li key={job.id}>
              <JobProgress job={job} title={titleOf(job)} />
            </li>
          ))}
        </ul>
      )}
      {uploads.length + jobs.length === 0 && (
        <p className="sl-subtle">Nothing running. Pulls, uploads, clones and imports appear here.</p>
      )}
      {ended.length > 0 && (
        <ul className="sl-work__ended" aria-label="Recently finished jobs">
          {ended.map((job) => (
            <li key={job.id} data-ended={job.state}>
              <span aria-hidden>{signs[job.state]}</span>
              <div className="sl-break">
                {titleOf(job)}: {job.state}
                <div className="sl-subtle">
                  {job.state === "failed" && job.error ? job.error.detail : job.finished && <Ago time={job.finished} />}
                </div>
              </div>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

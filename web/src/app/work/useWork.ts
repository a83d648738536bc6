import { type Upload, useUploads } from "../../features/images/uploads";
import type { Job } from "../../shared/api/types";
import { useJobs } from "../../shared/jobs/jobs";
import { isOver } from "../../shared/jobs/liveJobs";
import { useNow } from "../../shared/useNow";

/** Tasks: the jobs that the user can see, and the uploads of this tab. */
export interface Work {
  /** Jobs that have not finished. */
  jobs: Job[];
  /** Jobs that finished in the last ten minutes. */
  ended: Job[];
  uploads: readonly Upload[];
  /** The number of tasks in progress. */
  running: number;
}

const moment = 10 * 60 * 1000; // ms
const mostEnded = 5;

export function useWork(): Work {
  const all = useJobs();
  const now = useNow(30_000);
  const uploads = useUploads();
  const jobs = all.filter((job) => !isOver(job));
  const ended = all.filter(
    (job) => isOver(job) && job.finished !== undefined && now - Date.parse(job.finished) < moment,
  );
  const sending = uploads.filter(({ state }) => state !== "done" && state !== "failed");
  return { jobs, ended: ended.slice(0, mostEnded), uploads, running: jobs.length + sending.length };
}

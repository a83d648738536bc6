import { type Upload, useUploads } from "../../features/images/uploads";
import type { Job } from "../../shared/api/types";
import { useJobs } from "../../shared/jobs/jobs";
import { isOver } from "../../shared/jobs/liveJobs";
import { useNow } from "../../shared/useNow";

/** Long work: jobs of the service that one sees, and this tab's uploads. */
export interface Work {
  /** Those that have not ended. */
  jobs: Job[];
  /** Those that ended a moment ago. */
  ended: Job[];
  uploads: readonly Upload[];
  /** How much of it is under way. */
  running: number;
}

const moment = 10 * 60 * 1000; // ms
const mostEnded = 5;

export function useWork(): Work {
  const all = useJobs();
  const now = useNow(30_000);
  const uploads = useUploads();
  const jobs = all.filter((job) => !isOver(job));
  const ended = all.filter((job) => isOver(job) && job.finished !== undefined && now - Date.parse(job.finished) < moment);
  const sending = uploads.filter(({ state }) => state !== "done" && state !== "failed");
  return { jobs, ended: ended.slice(0, mostEnded), uploads, running: jobs.length + sending.length };
}

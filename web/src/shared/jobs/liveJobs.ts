import type { Job } from "../api/types";
import type { Change } from "../live/changes";

/** A page of jobs in the order of the service. */
export interface JobPage {
  jobs: Job[];
  nextCursor?: string;
}

/** Consecutive pages. */
export interface JobPages {
  pages: JobPage[];
}

/** Returns the jobs after a change; a new job is added at the top if allowed. The same value if it is not about jobs. */
export function applyToJobPages<T extends JobPages>(list: T, change: Change, takesNew = true): T {
  if (change.type !== "job.changed") {
    return list;
  }
  const { job } = change;
  if (list.pages.some(({ jobs }) => jobs.some(({ id }) => id === job.id))) {
    // A finished job stays finished: the response to a cancellation may arrive after the event.
    const put = (old: Job) => (old.id === job.id && (isOver(job) || !isOver(old)) ? job : old);
    return { ...list, pages: list.pages.map((page) => ({ ...page, jobs: page.jobs.map(put) })) };
  }
  const [first, ...rest] = list.pages;
  return first && takesNew ? { ...list, pages: [{ ...first, jobs: [job, ...first.jobs] }, ...rest] } : list;
}

/** Whether a job has finished. */
export function isOver({ state }: Job): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}

/** Returns the job that runs on something now, or else its latest job. The jobs are sorted newest first. */
export function jobOf(jobs: readonly Job[], type: Job["target"]["type"], id: string, host?: string): Job | undefined {
  const its = jobs.filter(
    ({ target }) =>
      target.type === type && target.id === id && (host === undefined || !target.host || target.host === host),
  );
  return its.find((job) => !isOver(job)) ?? its[0];
}

const kinds: Record<string, string> = {
  "image.convert": "Convert image",
  "image.pull": "Pull image",
  "image.verify": "Verify image",
  "image.compact": "Compact image",
  "image.resize": "Enlarge image",
  "node.image": "Create image",
  "node.clone": "Clone node",
  "lab.import": "Import lab",
  "user.delete": "Delete account",
};

/** The title of a job: "Pull image". */
export function jobTitle({ kind }: Job): string {
  return kinds[kind] ?? kind.replace(".", ": ").replace(/^./, (first) => first.toUpperCase());
}

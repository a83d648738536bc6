import type { Job } from "../api/types";
import type { Change } from "../live/changes";

/** Some jobs, as the service lists them. */
export interface JobPage {
  jobs: Job[];
  nextCursor?: string;
}

/** Pages that follow each other. */
export interface JobPages {
  pages: JobPage[];
}

/** The jobs after a change, of which a new one is put first if it may be; the same value when it does not concern jobs. */
export function applyToJobPages<T extends JobPages>(list: T, change: Change, takesNew = true): T {
  if (change.type !== "job.changed") {
    return list;
  }
  const { job } = change;
  if (list.pages.some(({ jobs }) => jobs.some(({ id }) => id === job.id))) {
    // What has ended stays so: the answer to a cancellation may come after the event of the end.
    const put = (old: Job) => (old.id === job.id && (isOver(job) || !isOver(old)) ? job : old);
    return { ...list, pages: list.pages.map((page) => ({ ...page, jobs: page.jobs.map(put) })) };
  }
  const [first, ...rest] = list.pages;
  return first && takesNew ? { ...list, pages: [{ ...first, jobs: [job, ...first.jobs] }, ...rest] } : list;
}

/** Whether a job has ended. */
export function isOver({ state }: Job): boolean {
  return state === "succeeded" || state === "failed" || state === "cancelled";
}

/** The job that works on something now, else the last one, among jobs that are listed newest first. */
export function jobOf(jobs: readonly Job[], type: Job["target"]["type"], id: string, host?: string): Job | undefined {
  const its = jobs.filter(
    ({ target }) => target.type === type && target.id === id && (host === undefined || !target.host || target.host === host),
  );
  return its.find((job) => !isOver(job)) ?? its[0];
}

const kinds: Record<string, string> = {
  "image.convert": "Convert image",
  "image.pull": "Pull image",
  "image.verify": "Verify image",
  "image.compact": "Compact image",
  "image.resize": "Grow image",
  "node.image": "Make image",
  "node.clone": "Clone node",
  "lab.import": "Import lab",
  "user.delete": "Delete account",
};

/** What a job does, for people: "Pull image". */
export function jobTitle({ kind }: Job): string {
  return kinds[kind] ?? kind.replace(".", ": ").replace(/^./, (first) => first.toUpperCase());
}

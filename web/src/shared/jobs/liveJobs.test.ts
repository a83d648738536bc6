import { expect, test } from "vitest";

import type { Job } from "../api/types";
import { type JobPages, applyToJobPages, jobOf } from "./liveJobs";

const job = (id: string, state: Job["state"] = "running", target = "debian-13") =>
  ({ id, state, target: { type: "image", id: target, host: "local" } }) as Job;
const pages: JobPages = { pages: [{ jobs: [job("3"), job("2")], nextCursor: "2" }, { jobs: [job("1")] }] };
const ids = ({ pages: list }: JobPages) => list.map(({ jobs }) => jobs.map(({ id, state }) => `${id} ${state}`));

test("a changed job keeps its position", () => {
  expect(ids(applyToJobPages(pages, { type: "job.changed", job: job("1", "failed") }))).toEqual([
    ["3 running", "2 running"],
    ["1 failed"],
  ]);
});
test("a late event does not revive a finished job", () => {
  const ended = applyToJobPages(pages, { type: "job.changed", job: job("1", "cancelled") });
  expect(applyToJobPages(ended, { type: "job.changed", job: job("1", "cancelling") })).toEqual(ended);
});
test("a new job is added at the top of the first page", () => {
  expect(ids(applyToJobPages(pages, { type: "job.changed", job: job("4") }))[0]).toEqual([
    "4 running",
    "3 running",
    "2 running",
  ]);
  expect(applyToJobPages(pages, { type: "job.changed", job: job("4") }, false)).toBe(pages);
});
test("other changes return the same pages", () => {
  expect(applyToJobPages(pages, { type: "node.removed", id: "1", host: "a" })).toBe(pages);
});
test("of several jobs on one image the running one is returned, or else the latest", () => {
  expect(jobOf([job("3", "failed"), job("2", "running")], "image", "debian-13")?.id).toBe("2");
  expect(jobOf([job("3", "failed"), job("2", "succeeded")], "image", "debian-13", "local")?.id).toBe("3");
  expect(jobOf([job("3")], "image", "debian-12")).toBeUndefined();
  expect(jobOf([job("3")], "image", "debian-13", "other")).toBeUndefined();
});

import { type InfiniteData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../api/client";
import type { Job } from "../api/types";
import { changeLog } from "../live/changes";
import { type JobPage, type JobPages, applyToJobPages } from "./liveJobs";

export const jobsKey = ["jobs"] as const;

async function fetchJobs(cursor: string): Promise<JobPage> {
  const pages = await changeLog.reconcile<JobPages>(
    async () => ({ pages: [await bodyOf(api.GET("/api/jobs", { params: { query: { limit: 100, ...(cursor && { cursor }) } } }))] }),
    // What began meanwhile belongs to the first page alone.
    (value, change) => applyToJobPages(value, change, cursor === ""),
  );
  return pages.pages[0] ?? { jobs: [] };
}

/** The jobs that one sees, the newest first, a hundred at a time; kept up to date by the event feed. */
export function useJobPages() {
  return useInfiniteQuery({
    queryKey: jobsKey,
    queryFn: ({ pageParam }) => fetchJobs(pageParam),
    initialPageParam: "",
    getNextPageParam: ({ nextCursor }) => nextCursor,
  });
}

/** The latest jobs that one sees, the newest first; none while they are not known. */
export function useJobs(): readonly Job[] {
  return useJobPages().data?.pages.flatMap(({ jobs }) => jobs) ?? [];
}

export async function cancelJob(id: string): Promise<Job> {
  return bodyOf(api.POST("/api/jobs/{id}/cancel", { params: { path: { id } } }));
}

/** Shows a job as an answer has it, before an event tells of it. */
export function useShowJob(): (job: Job) => void {
  const queries = useQueryClient();
  return (job) =>
    queries.setQueryData<InfiniteData<JobPage, string>>(
      jobsKey,
      (pages) => pages && applyToJobPages(pages, { type: "job.changed", job }),
    );
}

export function useCancelJob(id: string) {
  const show = useShowJob();
  return useMutation({ mutationFn: () => cancelJob(id), onSuccess: show });
}

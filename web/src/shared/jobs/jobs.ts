import { type InfiniteData, useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../api/client";
import type { Job } from "../api/types";
import { changeLog } from "../live/changes";
import { type JobPage, type JobPages, applyToJobPages } from "./liveJobs";

export const jobsKey = ["jobs"] as const;

async function fetchJobs(cursor: string): Promise<JobPage> {
  const pages = await changeLog.reconcile<JobPages>(
    async () => ({
      pages: [await bodyOf(api.GET("/api/jobs", { params: { query: { limit: 100, ...(cursor && { cursor }) } } }))],
    }),
    // Jobs that started in the meantime belong only on the first page.
    (value, change) => applyToJobPages(value, change, cursor === ""),
  );
  return pages.pages[0] ?? { jobs: [] };
}

/** The jobs that the user can see, newest first, a hundred at a time; the event feed keeps them up to date. */
export function useJobPages() {
  return useInfiniteQuery({
    queryKey: jobsKey,
    queryFn: ({ pageParam }) => fetchJobs(pageParam),
    initialPageParam: "",
    getNextPageParam: ({ nextCursor }) => nextCursor,
  });
}

/** The latest jobs that the user can see, newest first; none while loading. */
export function useJobs(): readonly Job[] {
  return useJobPages().data?.pages.flatMap(({ jobs }) => jobs) ?? [];
}

export async function cancelJob(id: string): Promise<Job> {
  return bodyOf(api.POST("/api/jobs/{id}/cancel", { params: { path: { id } } }));
}

/** Updates the cache with a job from a response, before its event arrives. */
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

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { jobsKey } from "../../../shared/jobs/jobs";

const catalogKey = ["catalog"] as const;

/** The catalogue with its state on a host; on the first host if the name is empty. */
export function useCatalog(host: string) {
  return useQuery({
    queryKey: [...catalogKey, host],
    queryFn: async () =>
      (await bodyOf(api.GET("/api/images/catalog", { params: { query: host ? { host } : {} } }))).images,
    staleTime: 0,
  });
}

/** Starts a job that pulls an image of the catalogue to a host. */
export function usePull(host: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (id: string) =>
      bodyOf(api.POST("/api/images/catalog/{id}/pull", { params: { path: { id } }, body: host ? { host } : {} })),
    onSettled: () => queries.invalidateQueries({ queryKey: jobsKey }),
  });
}

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, done, pagesOf } from "../../../shared/api/client";

const changesKey = ["changes"] as const;

/** How often the list is reloaded while it is shown: no event reports the outcome of a change. */
const reloadInterval = 10_000;

/** The changes that the service could neither complete nor undo. */
export function useChanges(enabled: boolean) {
  return useQuery({
    queryKey: changesKey,
    queryFn: async () => {
      const pages = await pagesOf((query) => api.GET("/api/changes", { params: { query } }));
      return pages.flatMap(({ changes }) => changes);
    },
    enabled,
    staleTime: 0,
    refetchInterval: reloadInterval,
  });
}

export function useFinishChange() {
  return useChangeMutation((id) => done(api.POST("/api/changes/{id}/finish", { params: { path: { id } } })));
}

export function useDropChange() {
  return useChangeMutation((id) => done(api.DELETE("/api/changes/{id}", { params: { path: { id } } })));
}

function useChangeMutation(mutationFn: (id: string) => Promise<void>) {
  const queries = useQueryClient();
  return useMutation({ mutationFn, onSettled: () => queries.invalidateQueries({ queryKey: changesKey }) });
}

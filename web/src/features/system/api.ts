import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../shared/api/client";

const guacamoleKey = ["guacamole"] as const;

/** The state of the Guacamole sync; reloaded on each visit. */
export function useGuacamole() {
  return useQuery({ queryKey: guacamoleKey, queryFn: () => bodyOf(api.GET("/api/guacamole")), staleTime: 0 });
}

export function useSyncGuacamole() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => bodyOf(api.POST("/api/guacamole/sync")),
    onSettled: () => queries.invalidateQueries({ queryKey: guacamoleKey }),
  });
}

/** The settings of the service, which do not change while it runs. */
export function useSettings() {
  return useQuery({ queryKey: ["settings"], queryFn: () => bodyOf(api.GET("/api/settings")), staleTime: 0 });
}

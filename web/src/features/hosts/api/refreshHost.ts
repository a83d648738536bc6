import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { hostsKey } from "./listHosts";

/** Makes the service rescan a host's pools: files that other tools put there cause no event. */
export function useRefreshHost(host: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => done(api.POST("/api/hosts/{host}/refresh", { params: { path: { host } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: hostsKey }),
  });
}

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { hostsKey } from "./listHosts";

/** Has a host's pools read anew: what others put there gives no event. */
export function useRefreshHost(host: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => done(api.POST("/api/hosts/{host}/refresh", { params: { path: { host } } })),
    onSettled: () => queries.invalidateQueries({ queryKey: hostsKey }),
  });
}

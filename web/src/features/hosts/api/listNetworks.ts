import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";

/** The networks that nodes can be connected to, of all hosts; read anew with each visit. */
export function useNetworks() {
  return useQuery({
    queryKey: ["networks"],
    queryFn: async () => (await bodyOf(api.GET("/api/networks"))).networks,
    staleTime: 0,
  });
}

import { useQuery } from "@tanstack/react-query";

import { api, pagesOf } from "../../../shared/api/client";

/** The networks of all hosts that nodes can be connected to; reloaded on each visit. */
export function useNetworks() {
  return useQuery({
    queryKey: ["networks"],
    queryFn: async () => {
      const pages = await pagesOf((query) => api.GET("/api/networks", { params: { query } }));
      return pages.flatMap(({ networks }) => networks);
    },
    staleTime: 0,
  });
}

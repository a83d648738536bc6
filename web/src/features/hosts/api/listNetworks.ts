import { useQuery } from "@tanstack/react-query";

import { api, pagesOf } from "../../../shared/api/client";

/** The networks that nodes can be connected to, of all hosts; read anew with each visit. */
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

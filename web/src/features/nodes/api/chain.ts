import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { nodePartsKey } from "./keys";

/** The backing chains of a node's disks, down to their images. */
export function useChain(id: string) {
  return useQuery({
    queryKey: [...nodePartsKey(id), "chain"],
    queryFn: () => bodyOf(api.GET("/api/nodes/{id}/chain", { params: { path: { id } } })),
    staleTime: 0,
  });
}

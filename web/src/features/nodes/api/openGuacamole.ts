import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";

/** Resolves with a URL that signs the user in to Guacamole at a node's screen; it expires soon. */
export async function openGuacamole(id: string): Promise<string> {
  return (await bodyOf(api.POST("/api/nodes/{id}/guacamole", { params: { path: { id } } }))).url;
}

/** Requests the URL on mount, and a new one with each refetch. */
export function useGuacamoleAddress(id: string) {
  return useQuery({
    queryKey: ["guacamole", id],
    queryFn: () => openGuacamole(id),
    retry: false,
    gcTime: 0,
  });
}

import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";

/** Resolves with an address that signs the user in to Guacamole at a node's screen; it is for use at once. */
export async function openGuacamole(id: string): Promise<string> {
  return (await bodyOf(api.POST("/api/nodes/{id}/guacamole", { params: { path: { id } } }))).url;
}

/** Asks for the address as soon as it is shown, and for another one with each refetch. */
export function useGuacamoleAddress(id: string) {
  return useQuery({
    queryKey: ["guacamole", id],
    queryFn: () => openGuacamole(id),
    retry: false,
    gcTime: 0,
  });
}

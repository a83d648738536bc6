import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done, pagesOf } from "../../../shared/api/client";
import type { Interface, Network } from "../../../shared/api/types";
import { nodePartsKey } from "./keys";

/** A node's network interfaces. */
export function useInterfaces(id: string) {
  return useQuery({
    queryKey: [...nodePartsKey(id), "interfaces"],
    queryFn: async (): Promise<Interface[]> =>
      (await bodyOf(api.GET("/api/nodes/{id}/interfaces", { params: { path: { id } } }))).interfaces,
  });
}

/** The networks of all hosts, reloaded on each visit: no event reports their changes. */
export function useNetworks(isWanted = true) {
  return useQuery({
    queryKey: ["networks"],
    queryFn: async (): Promise<Network[]> => {
      const pages = await pagesOf((query) => api.GET("/api/networks", { params: { query } }));
      return pages.flatMap(({ networks }) => networks);
    },
    enabled: isWanted,
    staleTime: 0,
  });
}

/** Attaches an interface on a network, or detaches one. */
export type InterfaceChange = { do: "plug"; network: string } | { do: "unplug"; mac: string };

export async function changeInterfaces(id: string, change: InterfaceChange): Promise<void> {
  switch (change.do) {
    case "plug":
      return done(
        api.POST("/api/nodes/{id}/interfaces", { params: { path: { id } }, body: { network: change.network } }),
      );
    case "unplug":
      return done(api.DELETE("/api/nodes/{id}/interfaces/{mac}", { params: { path: { id, mac: change.mac } } }));
  }
}

export function useChangeInterfaces(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: InterfaceChange) => changeInterfaces(id, change),
    onSettled: () => queries.invalidateQueries({ queryKey: nodePartsKey(id) }),
  });
}

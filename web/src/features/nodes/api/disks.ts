import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done } from "../../../shared/api/client";
import type { Disk } from "../../../shared/api/types";
import { nodePartsKey } from "./keys";

/** A node's disks and drives. */
export function useDisks(id: string) {
  return useQuery({
    queryKey: [...nodePartsKey(id), "disks"],
    queryFn: async (): Promise<Disk[]> =>
      (await bodyOf(api.GET("/api/nodes/{id}/disks", { params: { path: { id } } }))).disks,
  });
}

/** One change of a node's disks or of the medium in its drive; sizes in bytes. */
export type DiskChange =
  | { do: "add"; size: number }
  | { do: "detach"; target: string }
  /** Inserts an ISO image into the optical drive; an empty ID ejects the medium. */
  | { do: "media"; image: string };

export async function changeDisks(id: string, change: DiskChange): Promise<void> {
  const path = { id };
  switch (change.do) {
    case "add":
      return done(api.POST("/api/nodes/{id}/disks", { params: { path }, body: { size: change.size } }));
    case "detach":
      return done(api.DELETE("/api/nodes/{id}/disks/{target}", { params: { path: { id, target: change.target } } }));
    case "media":
      return done(api.PUT("/api/nodes/{id}/media", { params: { path }, body: { image: change.image } }));
  }
}

export function useChangeDisks(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: DiskChange) => changeDisks(id, change),
    onSettled: () => queries.invalidateQueries({ queryKey: nodePartsKey(id) }),
  });
}

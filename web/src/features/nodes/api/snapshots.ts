import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done } from "../../../shared/api/client";
import type { Snapshot } from "../../../shared/api/types";
import { nodePartsKey, nodesKey } from "./keys";

/** A node's snapshots, each after its parent. */
export function useSnapshots(id: string) {
  return useQuery({
    queryKey: [...nodePartsKey(id), "snapshots"],
    queryFn: async (): Promise<Snapshot[]> =>
      (await bodyOf(api.GET("/api/nodes/{id}/snapshots", { params: { path: { id } } }))).snapshots,
  });
}

export type SnapshotChange =
  | { do: "take"; name: string; description: string }
  /** force: also if the node is running or has a saved state. */
  | { do: "revert"; name: string; force: boolean }
  | { do: "delete"; name: string };

export async function changeSnapshots(id: string, change: SnapshotChange): Promise<void> {
  const path = { id, name: change.name };
  switch (change.do) {
    case "take":
      return done(
        api.POST("/api/nodes/{id}/snapshots", {
          params: { path: { id } },
          body: { ...(change.name === "" ? {} : { name: change.name }), description: change.description },
        }),
      );
    case "revert":
      return done(
        api.POST("/api/nodes/{id}/snapshots/{name}/revert", { params: { path }, body: { force: change.force } }),
      );
    case "delete":
      return done(api.DELETE("/api/nodes/{id}/snapshots/{name}", { params: { path } }));
  }
}

export function useChangeSnapshots(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: SnapshotChange) => changeSnapshots(id, change),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

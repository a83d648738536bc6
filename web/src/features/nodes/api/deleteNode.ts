import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { nodesKey } from "./listNodes";

/** Deletes a node; one that has snapshots is refused, unless they may be lost. */
export async function deleteNode(id: string, snapshots = false): Promise<void> {
  await done(api.DELETE("/api/nodes/{id}", { params: { path: { id }, query: { snapshots } } }));
}

export function useDeleteNode(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (snapshots: boolean) => deleteNode(id, snapshots),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

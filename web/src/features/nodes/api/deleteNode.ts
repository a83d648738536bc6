import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { nodesKey } from "./listNodes";

export async function deleteNode(id: string): Promise<void> {
  await done(api.DELETE("/api/nodes/{id}", { params: { path: { id } } }));
}

export function useDeleteNode(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => deleteNode(id),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

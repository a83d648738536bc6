import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodesKey } from "./listNodes";

export async function renameNode(id: string, name: string): Promise<Node> {
  return bodyOf(api.PATCH("/api/nodes/{id}", { params: { path: { id } }, body: { name } }));
}

export function useRenameNode(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (name: string) => renameNode(id, name),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

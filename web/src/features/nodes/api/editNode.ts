import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { NodeEdit, ResizedNode } from "../../../shared/api/types";
import { nodesKey } from "./listNodes";

/** Changes what is named of a node; the answer tells which sizes it has at once, and which at its next start. */
export async function editNode(id: string, edit: NodeEdit): Promise<ResizedNode> {
  return bodyOf(api.PATCH("/api/nodes/{id}", { params: { path: { id } }, body: edit }));
}

export function useEditNode(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (edit: NodeEdit) => editNode(id, edit),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

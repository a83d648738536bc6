import { api, bodyOf } from "../../../shared/api/client";
import type { NodeEdit, ResizedNode } from "../../../shared/api/types";
import { useNodeChange } from "./changes";

/** Changes what is named of a node; the answer tells which sizes it has at once, and which at its next start. */
export async function editNode(id: string, edit: NodeEdit): Promise<ResizedNode> {
  return bodyOf(api.PATCH("/api/nodes/{id}", { params: { path: { id } }, body: edit }));
}

export function useEditNode(id: string) {
  return useNodeChange(id, { send: editNode, foresee: (_id, edit: NodeEdit) => ({ id, edit }), nodeIn: (node) => node });
}

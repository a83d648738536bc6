import { useState } from "react";

import { api, bodyOf, ifMatch } from "../../../shared/api/client";
import type { Node, NodeEdit, ResizedNode } from "../../../shared/api/types";
import { useNodeChange } from "./changes";

/** Changes the given fields of a node; the response says which sizes change immediately and which at the next start. */
export async function editNode(id: string, edit: NodeEdit, read = "*"): Promise<ResizedNode> {
  return bodyOf(api.PATCH("/api/nodes/{id}", { params: { path: { id }, header: ifMatch(read) }, body: edit }));
}

/** Changes a node as it was when the dialog opened, so that later changes of other users are not overwritten. */
export function useEditNode({ id, version }: Node) {
  const [read] = useState(version);
  return useNodeChange(id, {
    send: (_id, edit: NodeEdit) => editNode(id, edit, read),
    foresee: (_id, edit: NodeEdit) => ({ id, edit }),
    nodeIn: (node) => node,
  });
}

import { api, done } from "../../../shared/api/client";
import { type ChangeOf, useNodeChange } from "./changes";

/** Deletes a node; one that has snapshots is refused, unless they may be lost. */
async function deleteNode(id: string, snapshots: boolean): Promise<void> {
  await done(api.DELETE("/api/nodes/{id}", { params: { path: { id }, query: { snapshots } } }));
}

/** Deletes a node, whether or not it has snapshots. */
export const deletion: ChangeOf<boolean, void> = {
  send: deleteNode,
  foresee: (id) => ({ id, remove: true }),
  nodeIn: () => null,
};

export function useDeleteNode(id: string) {
  return useNodeChange(id, deletion);
}

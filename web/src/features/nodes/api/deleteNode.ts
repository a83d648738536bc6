import { api, done } from "../../../shared/api/client";
import { type ChangeOf, useNodeChange } from "./changes";

/** Deletes a node. Without `snapshots`, the service refuses to delete a node that has snapshots. */
async function deleteNode(id: string, snapshots: boolean): Promise<void> {
  await done(api.DELETE("/api/nodes/{id}", { params: { path: { id }, query: { snapshots } } }));
}

/** Deletes a node, also if it has snapshots. */
export const deletion: ChangeOf<boolean, void> = {
  send: deleteNode,
  foresee: (id) => ({ id, remove: true }),
  nodeIn: () => null,
};

export function useDeleteNode(id: string) {
  return useNodeChange(id, deletion);
}

import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";
import type { Node } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { applyToNode } from "../liveNodes";
import { nodesKey } from "./listNodes";

export const nodeKey = (id: string) => [...nodesKey, "one", id] as const;

/** Below it lies what belongs to a node and is not told with it: it is read anew whenever the node has changed. */
export const nodePartsKey = (id: string) => [...nodeKey(id), "part"] as const;

/** Resolves with null when there is no such node (any more). */
export async function fetchNode(id: string): Promise<Node | null> {
  return changeLog.reconcile(
    async () => {
      try {
        return await bodyOf(api.GET("/api/nodes/{id}", { params: { path: { id } } }));
      } catch (error) {
        if (error instanceof RequestError && error.status === 404) {
          return null;
        }
        throw error;
      }
    },
    (node, change) => applyToNode(id, node, change),
  );
}

export function useNode(id: string) {
  return useQuery({ queryKey: nodeKey(id), queryFn: () => fetchNode(id) });
}

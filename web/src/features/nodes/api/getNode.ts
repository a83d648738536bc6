import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";

import { api, bodyOf } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";
import type { Node } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { applyPending } from "../optimistic";
import { applyToNode } from "../liveNodes";
import { usePending } from "./changes";
import { nodeKey } from "./keys";

/** Resolves with null if the node does not exist (any more). */
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

/** A node with its changes in progress applied optimistically. */
export function useNode(id: string) {
  const pending = usePending();
  const select = useCallback((node: Node | null) => node && applyPending(node, pending), [pending]);
  return useQuery({ queryKey: nodeKey(id), queryFn: () => fetchNode(id), select });
}

import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";

import { api, pagesOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { applyPendingToAll } from "../optimistic";
import { applyToNodes } from "../liveNodes";
import { usePending } from "./changes";
import { nodeListKey } from "./keys";

/** Reads all pages of the list. */
export async function fetchNodes(): Promise<Node[]> {
  return changeLog.reconcile(async () => {
    const pages = await pagesOf((query) => api.GET("/api/nodes", { params: { query } }));
    return pages.flatMap(({ nodes }) => nodes);
  }, applyToNodes);
}

/** All nodes that the user can see, with the changes in progress applied optimistically. */
export function useNodes() {
  const pending = usePending();
  const select = useCallback((nodes: Node[]) => applyPendingToAll(nodes, pending), [pending]);
  return useQuery({ queryKey: nodeListKey, queryFn: fetchNodes, select });
}

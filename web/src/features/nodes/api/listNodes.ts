import { useQuery } from "@tanstack/react-query";
import { useCallback } from "react";

import { api, pagesOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { foreseenList } from "../foreseen";
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

/** All nodes that one sees, as they will be when the changes that are under way work. */
export function useNodes() {
  const pending = usePending();
  const select = useCallback((nodes: Node[]) => foreseenList(nodes, pending), [pending]);
  return useQuery({ queryKey: nodeListKey, queryFn: fetchNodes, select });
}

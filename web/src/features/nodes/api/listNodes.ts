import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { applyToNodes } from "../liveNodes";

/** Everything that the service told about nodes lies below this key. */
export const nodesKey = ["nodes"] as const;
export const nodeListKey = [...nodesKey, "list"] as const;

/** Reads all pages of the list. */
export async function fetchNodes(): Promise<Node[]> {
  return changeLog.reconcile(async () => {
    const nodes: Node[] = [];
    let cursor: string | undefined;
    do {
      const page = await bodyOf(api.GET("/api/nodes", { params: { query: cursor === undefined ? {} : { cursor } } }));
      nodes.push(...page.nodes);
      cursor = page.nextCursor === "" ? undefined : page.nextCursor;
    } while (cursor !== undefined);
    return nodes;
  }, applyToNodes);
}

export function useNodes() {
  return useQuery({ queryKey: nodeListKey, queryFn: fetchNodes });
}

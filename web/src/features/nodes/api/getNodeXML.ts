import { useQuery } from "@tanstack/react-query";

import { answerOf, api } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodeKey } from "./getNode";

/** Resolves with the XML of the node's domain, without its secrets. */
export async function fetchNodeXML(id: string): Promise<string> {
  const { data } = await answerOf(
    api.GET("/api/nodes/{id}/xml", { params: { path: { id } }, parseAs: "text" }),
  );
  return data ?? "";
}

/** The XML, read anew when the node has changed since. */
export function useNodeXML(node: Node) {
  return useQuery({
    queryKey: [...nodeKey(node.id), "xml", node],
    queryFn: () => fetchNodeXML(node.id),
    placeholderData: (previous) => previous,
    staleTime: 0,
    gcTime: 0,
  });
}

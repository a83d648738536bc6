import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { answerOf, api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodePartsKey } from "./keys";

/** Resolves with the XML of the node's domain, without its secrets. */
export async function fetchNodeXML(id: string): Promise<string> {
  const { data } = await answerOf(
    api.GET("/api/nodes/{id}/xml", { params: { path: { id } }, parseAs: "text" }),
  );
  return data ?? "";
}

/** The XML, as it is when it is asked for. */
export function useNodeXML(node: Node) {
  return useQuery({
    queryKey: [...nodePartsKey(node.id), "xml"],
    queryFn: () => fetchNodeXML(node.id),
    staleTime: 0,
    gcTime: 0,
  });
}

/** Replaces the XML of a node's domain; libvirt validates it. */
export function useSaveNodeXML(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (xml: string) =>
      bodyOf(
        api.PUT("/api/nodes/{id}/xml", {
          params: { path: { id } },
          body: xml,
          bodySerializer: (text: string) => text,
          headers: { "Content-Type": "application/xml" },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: nodePartsKey(id) }),
  });
}

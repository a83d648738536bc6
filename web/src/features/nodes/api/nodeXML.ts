import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { answerOf, api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodePartsKey } from "./keys";

/** Resolves with the XML of the node's domain, without its secrets. */
export async function fetchNodeXML(id: string): Promise<string> {
  const { data } = await answerOf(api.GET("/api/nodes/{id}/xml", { params: { path: { id } }, parseAs: "text" }));
  return data ?? "";
}

/** The current XML. */
export function useNodeXML(node: Node) {
  return useQuery({
    queryKey: [...nodePartsKey(node.id), "xml"],
    queryFn: () => fetchNodeXML(node.id),
    staleTime: 0,
    gcTime: 0,
  });
}

/** The definition of a node's domain for its next start, with its version. */
export interface Definition {
  text: string;
  version: string;
}

async function fetchDefinition(id: string): Promise<Definition> {
  const { data, response } = await answerOf(
    api.GET("/api/nodes/{id}/xml", { params: { path: { id }, query: { inactive: true } }, parseAs: "text" }),
  );
  return { text: data ?? "", version: response.headers.get("ETag") ?? "" };
}

/** The definition. It is kept up to date for users who may edit it, so that they can start without waiting. */
export function useNodeDefinition(node: Node, mayEdit: boolean) {
  return useQuery({
    queryKey: [...nodePartsKey(node.id), "definition"],
    queryFn: () => fetchDefinition(node.id),
    enabled: mayEdit,
    staleTime: 0,
    gcTime: 0,
  });
}

/** Replaces the given version of a domain's definition; libvirt validates the new one. */
export function useSaveNodeXML(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: ({ text: xml, version }: Definition) =>
      bodyOf(
        api.PUT("/api/nodes/{id}/xml", {
          params: { path: { id }, header: { "If-Match": version } },
          body: xml,
          bodySerializer: (text: string) => text,
          headers: { "Content-Type": "application/xml" },
        }),
      ),
    onSuccess: () => queries.invalidateQueries({ queryKey: nodePartsKey(id) }),
  });
}

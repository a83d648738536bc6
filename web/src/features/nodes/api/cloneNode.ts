import { useMutation, useQueryClient } from "@tanstack/react-query";

import { answerOf, api } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodesKey } from "./keys";

export interface Clone {
  name: string;
  /** linked: overlays on the source's disks, instant; full: an independent copy, made by a job. */
  mode: "linked" | "full";
}

/** Resolves with the new node, or with null if a job creates it. */
export async function cloneNode(id: string, body: Clone): Promise<Node | null> {
  const { data, response } = await answerOf(api.POST("/api/nodes/{id}/clone", { params: { path: { id } }, body }));
  return response.status === 201 ? (data as Node) : null;
}

export function useCloneNode(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (clone: Clone) => cloneNode(id, clone),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { answerOf, api } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodesKey } from "./keys";

export interface Clone {
  name: string;
  /** linked: on the source's disks, at once; full: a copy of its own, made by a job. */
  mode: "linked" | "full";
}

/** Resolves with the node that was made, or with null when a job makes it. */
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

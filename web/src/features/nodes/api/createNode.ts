import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Node, NodeSpec } from "../../../shared/api/types";
import { nodesKey } from "./keys";

interface Creation {
  spec: NodeSpec;
  /** The same for each attempt for one node, so that a retry does not create a second node. */
  idempotencyKey: string;
}

export async function createNode({ spec, idempotencyKey }: Creation): Promise<Node> {
  return bodyOf(api.POST("/api/nodes", { body: spec, params: { header: { "Idempotency-Key": idempotencyKey } } }));
}

export function useCreateNode() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: createNode,
    onSuccess: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

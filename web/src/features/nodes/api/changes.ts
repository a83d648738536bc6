import { type QueryClient, useMutation, useMutationState, useQueryClient } from "@tanstack/react-query";

import type { Node } from "../../../shared/api/types";
import type { Pending } from "../optimistic";
import { applyToNode, applyToNodes } from "../liveNodes";
import { nodeChangeKey, nodeKey, nodeListKey, nodesKey } from "./keys";

/** A kind of change of a node. */
export interface ChangeOf<Variables, Answer> {
  send: (id: string, variables: Variables) => Promise<Answer>;
  /** The node to show until the response arrives. */
  foresee: (id: string, variables: Variables) => Pending;
  /** The node according to the response; null if it no longer exists. */
  nodeIn: (answer: Answer) => Node | null;
}

function optionsOf<Variables, Answer>(queries: QueryClient, id: string, change: ChangeOf<Variables, Answer>) {
  return {
    mutationKey: nodeChangeKey,
    mutationFn: (variables: Variables) => change.send(id, variables),
    meta: { foresee: (variables: Variables) => change.foresee(id, variables) },
    onSuccess: (answer: Answer) => {
      const node = change.nodeIn(answer);
      queries.setQueryData<Node[]>(nodeListKey, (nodes) => {
        const host = nodes?.find((other) => other.id === id)?.host ?? "";
        return nodes && applyToNodes(nodes, node ? { type: "node.changed", node } : { type: "node.removed", id, host });
      });
      if (node) {
        queries.setQueryData<Node | null>(
          nodeKey(id),
          (before) => before && applyToNode(id, before, { type: "node.changed", node }),
        );
      }
    },
  };
}

/** Changes a node optimistically: the change is shown immediately, and undone if it fails. */
export function useNodeChange<Variables, Answer>(id: string, change: ChangeOf<Variables, Answer>) {
  const queries = useQueryClient();
  return useMutation({
    ...optionsOf(queries, id, change),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

/** The same for one of several nodes: the caller reloads the nodes when all are done. */
export function changeNode<Variables, Answer>(
  queries: QueryClient,
  id: string,
  change: ChangeOf<Variables, Answer>,
  variables: Variables,
): Promise<Answer> {
  return queries
    .getMutationCache()
    .build(queries, optionsOf(queries, id, change))
    .execute(variables);
}

/** The changes of nodes in progress. */
export function usePending(): Pending[] {
  return useMutationState({
    filters: { mutationKey: nodeChangeKey, status: "pending" },
    select: ({ options, state }) => (options.meta?.foresee as (variables: unknown) => Pending)(state.variables),
  });
}

import { type QueryClient, useMutation, useMutationState, useQueryClient } from "@tanstack/react-query";

import type { Node } from "../../../shared/api/types";
import type { Pending } from "../foreseen";
import { applyToNode, applyToNodes } from "../liveNodes";
import { nodeChangeKey, nodeKey, nodeListKey, nodesKey } from "./keys";

/** A kind of change of a node. */
export interface ChangeOf<Variables, Answer> {
  send: (id: string, variables: Variables) => Promise<Answer>;
  /** What is shown until the answer comes. */
  foresee: (id: string, variables: Variables) => Pending;
  /** The node by the answer; null when it is gone. */
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
        queries.setQueryData<Node | null>(nodeKey(id), (before) => before && applyToNode(id, before, { type: "node.changed", node }));
      }
    },
  };
}

/** Changes a node, shown at once, and taken back when it does not work. */
export function useNodeChange<Variables, Answer>(id: string, change: ChangeOf<Variables, Answer>) {
  const queries = useQueryClient();
  return useMutation({
    ...optionsOf(queries, id, change),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

/** The same for one of several nodes: who changes them reads the nodes anew when all are done. */
export function changeNode<Variables, Answer>(queries: QueryClient, id: string, change: ChangeOf<Variables, Answer>, variables: Variables): Promise<Answer> {
  return queries.getMutationCache().build(queries, optionsOf(queries, id, change)).execute(variables);
}

/** The changes of nodes that are under way. */
export function usePending(): Pending[] {
  return useMutationState({
    filters: { mutationKey: nodeChangeKey, status: "pending" },
    select: ({ options, state }) => (options.meta?.foresee as (variables: unknown) => Pending)(state.variables),
  });
}

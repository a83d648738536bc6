import { useQueryClient } from "@tanstack/react-query";

import type { NodeWork } from "../features/labs/LabPage";
import { changeNode } from "../features/nodes/api/changes";
import { createNode } from "../features/nodes/api/createNode";
import { deletion } from "../features/nodes/api/deleteNode";
import { lifecycleChange } from "../features/nodes/api/lifecycle";
import { nodesKey } from "../features/nodes/api/keys";
import { each } from "../features/nodes/bulk";
import { messageOf } from "../shared/api/problem";
import type { Node } from "../shared/api/types";
import { useToasts } from "../shared/ui/toasts";

/** The node actions that labs need. */
export function useNodeWork(): NodeWork {
  const queries = useQueryClient();
  const toasts = useToasts();
  const refetch = () => queries.invalidateQueries({ queryKey: nodesKey });
  const move = async (nodes: readonly Node[], to: "run" | "stop", verb: string) => {
    for (const { node, error } of await each(nodes, ({ id }) => changeNode(queries, id, lifecycleChange, to))) {
      if (error !== undefined) {
        toasts.failure(`Couldn't ${verb} ${node.name}`, new Error(messageOf(error)));
      }
    }
    await refetch();
  };
  return {
    make: async (spec, idempotencyKey) => {
      const node = await createNode({ spec, idempotencyKey });
      await refetch();
      return node;
    },
    run: (nodes) => move(nodes, "run", "start"),
    stop: (nodes) => move(nodes, "stop", "stop"),
    remove: async ({ id, snapshots }) => {
      await changeNode(queries, id, deletion, snapshots > 0);
      await refetch();
    },
  };
}

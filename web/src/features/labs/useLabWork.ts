import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";

import { idempotencyKey } from "../../shared/api/client";
import type { Lab, Node, NodeSpec } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { addNode, deleteLab, deleteNetwork } from "./api/changeLab";
import { labKey, labsKey } from "./api/labs";
import type { NewInLab } from "./components/AddNodeDialog";
import { freePlace } from "./layout";

/** Creates a node; every attempt for the same node uses the same key. */
export type MakeNode = (spec: NodeSpec, idempotencyKey: string) => Promise<Node>;

/** Adds a node to a lab at a free position; a new node is created first. */
export function useAddNode(lab: Lab, make: MakeNode) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (what: NewInLab) => {
      const id = "spec" in what ? (await make(what.spec, idempotencyKey())).id : what.node;
      return addNode(lab.id, id, freePlace(lab));
    },
    onSuccess: (changed) => queries.setQueryData(labKey(lab.id), changed),
  });
}

/** Deletes a lab; if nodes are given, first those nodes and the lab's networks. */
export function useDeleteLab(lab: Lab, removeNode: (node: Node) => Promise<unknown>) {
  const queries = useQueryClient();
  const navigate = useNavigate();
  return useMutation({
    mutationFn: async (nodes: readonly Node[] | null) => {
      for (const node of nodes ?? []) {
        await removeNode(node);
      }
      for (const network of nodes ? lab.networks : []) {
        await deleteNetwork(lab.id, network.id);
      }
      await deleteLab(lab.id);
    },
    onSuccess: async () => {
      await navigate(paths.labs);
      queries.removeQueries({ queryKey: labKey(lab.id) });
    },
    onSettled: () => queries.invalidateQueries({ queryKey: labsKey }),
  });
}

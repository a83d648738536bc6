import type { Node, NodeEdit, NodeState } from "../../shared/api/types";
import type { Lifecycle } from "./api/lifecycle";

/** A change of a node that was asked for, and has no answer yet. */
export type Pending = { id: string } & ({ lifecycle: Lifecycle } | { edit: NodeEdit } | { remove: true });

/** Which state a change leads to, from which. */
const moves: Partial<Record<Lifecycle, { from: readonly NodeState[]; to: NodeState }>> = {
  run: { from: ["stopped", "crashed"], to: "starting" },
  stop: { from: ["running"], to: "stopping" },
  forceOff: { from: ["running", "paused", "starting"], to: "stopping" },
  pause: { from: ["running"], to: "paused" },
  resume: { from: ["paused"], to: "running" },
};

/**
 * A node as it is shown while changes of it are under way: as it will be when they work.
 * What may come out otherwise, such as a new size, is shown when it is known.
 */
export function foreseen(node: Node, pending: readonly Pending[]): Node {
  return pending.reduce((shown, change) => {
    if (change.id !== shown.id) {
      return shown;
    }
    if ("lifecycle" in change) {
      const move = moves[change.lifecycle];
      return move?.from.includes(shown.state) ? { ...shown, state: move.to } : shown;
    }
    if ("edit" in change) {
      const { name, description, tags } = change.edit;
      return { ...shown, ...(name && { name }), ...(description !== undefined && { description }), ...(tags && { tags }) };
    }
    return shown;
  }, node);
}

/** The list of nodes as it will be when the changes that are under way work. */
export function foreseenList(nodes: Node[], pending: readonly Pending[]): Node[] {
  if (pending.length === 0) {
    return nodes;
  }
  return nodes
    .filter(({ id }) => !pending.some((change) => change.id === id && "remove" in change))
    .map((node) => foreseen(node, pending));
}

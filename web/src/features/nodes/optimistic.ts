import type { Node, NodeEdit, NodeState } from "../../shared/api/types";
import type { Lifecycle } from "./api/lifecycle";

/** A requested change of a node without a response yet. */
export type Pending = { id: string } & ({ lifecycle: Lifecycle } | { edit: NodeEdit } | { remove: true });

/** The state transitions of the changes. */
const moves: Partial<Record<Lifecycle, { from: readonly NodeState[]; to: NodeState }>> = {
  run: { from: ["stopped", "crashed"], to: "starting" },
  stop: { from: ["running"], to: "stopping" },
  forceOff: { from: ["running", "paused", "starting"], to: "stopping" },
  pause: { from: ["running"], to: "paused" },
  resume: { from: ["paused"], to: "running" },
};

/**
 * Applies the changes in progress to a node optimistically. Results that are not certain, such
 * as a new size, are shown when they are known.
 */
export function applyPending(node: Node, pending: readonly Pending[]): Node {
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
      return {
        ...shown,
        ...(name && { name }),
        ...(description !== undefined && { description }),
        ...(tags && { tags }),
      };
    }
    return shown;
  }, node);
}

/** Applies the changes in progress to a list of nodes. */
export function applyPendingToAll(nodes: Node[], pending: readonly Pending[]): Node[] {
  if (pending.length === 0) {
    return nodes;
  }
  return nodes
    .filter(({ id }) => !pending.some((change) => change.id === id && "remove" in change))
    .map((node) => applyPending(node, pending));
}

import type { Node } from "../../shared/api/types";
import type { Change } from "../../shared/live/changes";

/** The list of nodes after a change; the same array when it does not concern nodes. */
export function applyToNodes(nodes: Node[], change: Change): Node[] {
  switch (change.type) {
    case "node.changed": {
      const known = nodes.some((node) => node.id === change.node.id);
      return known
        ? nodes.map((node) => (node.id === change.node.id ? change.node : node))
        : [...nodes, change.node];
    }
    case "node.removed":
      return nodes.filter((node) => node.id !== change.id);
    default:
      return nodes;
  }
}

/** One node after a change: null once it is removed. */
export function applyToNode(id: string, node: Node | null, change: Change): Node | null {
  if (change.type === "node.changed" && change.node.id === id) {
    return change.node;
  }
  return change.type === "node.removed" && change.id === id ? null : node;
}

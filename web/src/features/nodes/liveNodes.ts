import type { Node } from "../../shared/api/types";
import type { Change } from "../../shared/live/changes";

/** Returns the list of nodes after a change; the same array if it is not about nodes. */
export function applyToNodes(nodes: Node[], change: Change): Node[] {
  switch (change.type) {
    case "node.changed": {
      const isIt = (node: Node) => node.id === change.node.id && node.host === change.node.host;
      return nodes.some(isIt) ? nodes.map((node) => (isIt(node) ? change.node : node)) : [...nodes, change.node];
    }
    case "node.removed":
      return nodes.filter((node) => node.id !== change.id || node.host !== change.host);
    default:
      return nodes;
  }
}

/** Returns one node after a change; null once it is removed. A node that moves is removed only from its old host. */
export function applyToNode(id: string, node: Node | null, change: Change): Node | null {
  if (change.type === "node.changed" && change.node.id === id) {
    return change.node;
  }
  return change.type === "node.removed" && change.id === id && change.host === node?.host ? null : node;
}

import type { Node } from "../../shared/api/types";

/** Nodes by what matters of their state; "other" is all that is neither running nor stopped. */
export type NodeGroup = "running" | "stopped" | "other";
/** What the list can be narrowed to. */
export type StateFilter = "all" | NodeGroup;

export function readStateFilter(value: string | null): StateFilter {
  return value === "running" || value === "stopped" || value === "other" ? value : "all";
}

export function stateGroup(node: Node): NodeGroup {
  return node.state === "running" || node.state === "stopped" ? node.state : "other";
}

/** The nodes that hold every word of search in their name, image, host, addresses, tags or id, by name. */
export function filterNodes(nodes: readonly Node[], search: string, state: StateFilter): Node[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return nodes
    .filter((node) => state === "all" || stateGroup(node) === state)
    .filter((node) => {
      const text = [node.name, node.image?.name, node.host, node.id, ...node.addresses, ...node.tags]
        .join("\n")
        .toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

import type { Node } from "../../shared/api/types";

/** The states that the list can be narrowed to; "other" is all that is neither running nor stopped. */
export type StateFilter = "all" | "running" | "stopped" | "other";

export function readStateFilter(value: string | null): StateFilter {
  return value === "running" || value === "stopped" || value === "other" ? value : "all";
}

export function stateGroup(node: Node): Exclude<StateFilter, "all"> {
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

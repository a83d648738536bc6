import type { Node } from "../../shared/api/types";

/** Nodes by what matters of their state; "other" is all that is neither running nor stopped. */
export type NodeGroup = "running" | "stopped" | "other";
/** What the list can be narrowed to. */
export type StateFilter = "all" | NodeGroup;

/** The properties of nodes that a list can be narrowed to one value of. */
export const facets = ["owner", "image", "host", "tag", "origin"] as const;
export type Facet = (typeof facets)[number];

/** What a list of nodes is narrowed to. */
export interface NodeFilter {
  search: string;
  state: StateFilter;
  /** The value that is asked for; empty for any. */
  facets: Readonly<Record<Facet, string>>;
}

/** The origins of nodes, as they stand in an address. */
export const origins = { here: "Made or adopted here", elsewhere: "Defined elsewhere" } as const;

/** Reads the filter that an address asks for. */
export function readFilter(params: URLSearchParams): NodeFilter {
  const state = params.get("state");
  return {
    search: params.get("q") ?? "",
    state: state === "running" || state === "stopped" || state === "other" ? state : "all",
    facets: Object.fromEntries(facets.map((facet) => [facet, params.get(facet) ?? ""])) as Record<Facet, string>,
  };
}

export function stateGroup(node: Node): NodeGroup {
  return node.state === "running" || node.state === "stopped" ? node.state : "other";
}

/** What a node has of a facet: none, one or, of tags, several values. */
function valuesOf(facet: Facet, node: Node): readonly string[] {
  switch (facet) {
    case "owner":
      return node.owner === "" ? [] : [node.owner];
    case "image":
      return node.image ? [node.image.id] : [];
    case "host":
      return [node.host];
    case "tag":
      return node.tags;
    case "origin":
      return [node.managed ? "here" : "elsewhere"];
  }
}

/** What a facet's values are called in the list of choices. */
function nameOf(facet: Facet, value: string, nodes: readonly Node[]): string {
  switch (facet) {
    case "image":
      return nodes.find(({ image }) => image?.id === value && image.name)?.image?.name ?? value;
    case "origin":
      return value === "elsewhere" ? origins.elsewhere : origins.here;
    default:
      return value;
  }
}

/** One value that the list can be narrowed to, and how many nodes have it. */
export interface Choice {
  value: string;
  name: string;
  count: number;
}

/** The values that the nodes have of a facet, by name; and the chosen one, even if no node has it any more. */
export function choicesOf(facet: Facet, nodes: readonly Node[], chosen: string): Choice[] {
  const counts = new Map<string, number>(chosen === "" ? [] : [[chosen, 0]]);
  for (const value of nodes.flatMap((node) => valuesOf(facet, node))) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .map(([value, count]) => ({ value, count, name: nameOf(facet, value, nodes) }))
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** The nodes of all states that have the facets that are asked for, and every word of the search in their name, image, owner, host, addresses, tags, description or id. */
export function matching(nodes: readonly Node[], filter: Omit<NodeFilter, "state">): Node[] {
  const words = filter.search.toLowerCase().split(/\s+/).filter(Boolean);
  return nodes.filter(
    (node) =>
      facets.every((facet) => filter.facets[facet] === "" || valuesOf(facet, node).includes(filter.facets[facet])) &&
      words.every((word) => textOf(node).includes(word)),
  );
}

function textOf(node: Node): string {
  const { name, image, owner, host, id, description, addresses, tags } = node;
  return [name, image?.name, image?.id, owner, host, id, description, ...addresses, ...tags].join("\n").toLowerCase();
}

/** The nodes that a filter lets through, by name. */
export function filterNodes(nodes: readonly Node[], filter: NodeFilter): Node[] {
  return matching(nodes, filter)
    .filter((node) => filter.state === "all" || stateGroup(node) === filter.state)
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

import type { Node } from "../../shared/api/types";

/** Groups of node states; "other" is everything except running and stopped. */
export type NodeGroup = "running" | "stopped" | "other";
/** The states that the list can be filtered by. */
export type StateFilter = "all" | NodeGroup;

/** The properties that a list of nodes can be filtered by. */
export const facets = ["owner", "image", "host", "tag", "origin"] as const;
export type Facet = (typeof facets)[number];

/** The filter of a list of nodes. */
export interface NodeFilter {
  search: string;
  state: StateFilter;
  /** The selected value; empty for any. */
  facets: Readonly<Record<Facet, string>>;
}

/** The origins of nodes, as they are written in a URL. */
export const origins = { here: "Managed", elsewhere: "Unmanaged" } as const;

/** Parses the filter in a URL. */
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

/** Returns a node's values of a facet: none, one, or several tags. */
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

/** Returns the display name of a facet's value. */
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

/** A value that the list can be filtered by, and the number of nodes that have it. */
export interface Choice {
  value: string;
  name: string;
  count: number;
}

/** Returns the nodes' values of a facet, by name, including the selected one even if no node has it any more. */
export function choicesOf(facet: Facet, nodes: readonly Node[], chosen: string): Choice[] {
  const counts = new Map<string, number>(chosen === "" ? [] : [[chosen, 0]]);
  for (const value of nodes.flatMap((node) => valuesOf(facet, node))) {
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return [...counts]
    .map(([value, count]) => ({ value, count, name: nameOf(facet, value, nodes) }))
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** Returns the nodes of all states that match the facets and contain every word of the search in their name, image, owner, host, addresses, tags, description or ID. */
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

/** Returns the nodes that match a filter, by name. */
export function filterNodes(nodes: readonly Node[], filter: NodeFilter): Node[] {
  return matching(nodes, filter)
    .filter((node) => filter.state === "all" || stateGroup(node) === filter.state)
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

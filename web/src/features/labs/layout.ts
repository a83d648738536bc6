import type { Lab, LabNetwork, Node } from "../../shared/api/types";

/** A place on the canvas, in pixels of its natural size; the upper left corner of what stands there. */
export interface Position {
  x: number;
  y: number;
}

/** How large nodes and networks are drawn. */
export const nodeSize = { width: 208, height: 84 } as const;
export const networkSize = { width: 176, height: 52 } as const;

const grid = { width: 272, height: 176, columns: 4 } as const;

/** A free place for one thing more: on a grid, row by row. */
export function freePlace(lab: Pick<Lab, "nodes" | "networks">): Position {
  const taken: Position[] = [...lab.nodes, ...lab.networks];
  for (let n = 0; ; n++) {
    const place = { x: (n % grid.columns) * grid.width, y: Math.floor(n / grid.columns) * grid.height };
    if (!taken.some(({ x, y }) => Math.abs(x - place.x) < grid.width - 40 && Math.abs(y - place.y) < grid.height - 40)) {
      return place;
    }
  }
}

/** A node's card on a network of the lab. */
export interface Link {
  /** Unique in the lab. */
  id: string;
  node: string;
  network: string;
}

/** The links of a lab. What the nodes tell of themselves is newer than what was read with the lab. */
export function linksOf(lab: Pick<Lab, "networks">, nodes: readonly Node[]): Link[] {
  return lab.networks.flatMap((network) =>
    nodes
      .filter((node) => node.host === network.host && node.networks.includes(network.name))
      .map((node) => ({ id: `${node.id} ${network.id}`, node: node.id, network: network.id })),
  );
}

/** The lab's nodes that are there, by name. */
export function nodesOf(lab: Pick<Lab, "nodes">, all: readonly Node[]): Node[] {
  return all
    .filter(({ id }) => lab.nodes.some((place) => place.id === id))
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** The address to tell of a node where there is room for one: of a network of the lab, else its first. */
export function addressOf({ addresses }: Pick<Node, "addresses">, networks: readonly Pick<LabNetwork, "subnet">[]): string | undefined {
  return addresses.find((address) => networks.some(({ subnet }) => subnet !== undefined && isIn(address, subnet))) ?? addresses[0];
}

/** Whether an IPv4 address is in a subnet such as "10.7.3.0/24". */
function isIn(address: string, subnet: string): boolean {
  const [base = "", bits = "32"] = subnet.split("/");
  const size = 2 ** (32 - Number(bits));
  const number = (text: string) => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return address.includes(".") && Math.floor(number(address) / size) === Math.floor(number(base) / size);
}

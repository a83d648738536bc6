import type { Lab, LabNetwork, Node } from "../../shared/api/types";

/** A position on the canvas in unscaled pixels: the upper left corner of an item. */
export interface Position {
  x: number;
  y: number;
}

/** The drawn size of nodes and networks. */
export const nodeSize = { width: 208, height: 84 } as const;
export const networkSize = { width: 176, height: 52 } as const;

const grid = { width: 272, height: 176, columns: 4 } as const;

/** Returns a free position for a new item: on a grid, row by row. */
export function freePlace(lab: Pick<Lab, "nodes" | "networks">): Position {
  const taken: Position[] = [...lab.nodes, ...lab.networks];
  for (let n = 0; ; n++) {
    const place = { x: (n % grid.columns) * grid.width, y: Math.floor(n / grid.columns) * grid.height };
    if (
      !taken.some(({ x, y }) => Math.abs(x - place.x) < grid.width - 40 && Math.abs(y - place.y) < grid.height - 40)
    ) {
      return place;
    }
  }
}

/** A node's interface on a network of the lab. */
export interface Link {
  /** Unique in the lab. */
  id: string;
  node: string;
  network: string;
}

/** Returns the links of a lab. The nodes' own data is newer than what was loaded with the lab. */
export function linksOf(lab: Pick<Lab, "networks">, nodes: readonly Node[]): Link[] {
  return lab.networks.flatMap((network) =>
    nodes
      .filter((node) => node.host === network.host && node.networks.includes(network.name))
      .map((node) => ({ id: `${node.id} ${network.id}`, node: node.id, network: network.id })),
  );
}

/** Returns the existing nodes of the lab, by name. */
export function nodesOf(lab: Pick<Lab, "nodes">, all: readonly Node[]): Node[] {
  return all
    .filter(({ id }) => lab.nodes.some((place) => place.id === id))
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}

/** Returns the address to show for a node: the one on a network of the lab, or else its first. */
export function addressOf(
  { addresses }: Pick<Node, "addresses">,
  networks: readonly Pick<LabNetwork, "subnet">[],
): string | undefined {
  return (
    addresses.find((address) => networks.some(({ subnet }) => subnet !== undefined && isIn(address, subnet))) ??
    addresses[0]
  );
}

/** Whether an IPv4 address is in a subnet such as "10.7.3.0/24". */
function isIn(address: string, subnet: string): boolean {
  const [base = "", bits = "32"] = subnet.split("/");
  const size = 2 ** (32 - Number(bits));
  const number = (text: string) => text.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  return address.includes(".") && Math.floor(number(address) / size) === Math.floor(number(base) / size);
}

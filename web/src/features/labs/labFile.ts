import type { Lab, Node } from "../../shared/api/types";
import { type Position, linksOf, nodesOf } from "./layout";

/** What a lab is in a file. Nodes and networks have names in it that hold within the file. */
export interface LabFile {
  sandboxlabs: "lab/1";
  name: string;
  networks: FileNetwork[];
  nodes: FileNode[];
}

export interface FileNetwork extends Position {
  name: string;
  /** Whether addresses are handed out. */
  addresses: boolean;
}

export interface FileNode extends Position {
  name: string;
  /** Id of an image. */
  image: string;
  osType?: string;
  /** MiB. */
  ram: number;
  cpus: number;
  /** Bytes. */
  disk: number;
  /** Names of networks of the file. */
  networks: string[];
}

/** A lab as a file. Nodes that were made of no image cannot be made anew, and are left out. */
export function exportLab(lab: Lab, all: readonly Node[]): { file: LabFile; left: Node[] } {
  const nodes = nodesOf(lab, all);
  const links = linksOf(lab, nodes);
  const place = (list: readonly (Position & { id: string })[], id: string) => {
    const { x = 0, y = 0 } = list.find((other) => other.id === id) ?? {};
    return { x: Math.round(x), y: Math.round(y) };
  };
  return {
    left: nodes.filter(({ image }) => !image),
    file: {
      sandboxlabs: "lab/1",
      name: lab.name,
      networks: lab.networks.map(({ id, name, dhcp }) => ({ name, addresses: dhcp, ...place(lab.networks, id) })),
      nodes: nodes.flatMap(({ id, name, image, osType, resources }) =>
        image
          ? [
              {
                name,
                image: image.id,
                ...(osType ? { osType } : {}),
                ram: resources.ram,
                cpus: resources.cpus,
                disk: resources.disk,
                networks: links
                  .filter((link) => link.node === id)
                  .flatMap((link) => lab.networks.filter((network) => network.id === link.network).map((network) => network.name)),
                ...place(lab.nodes, id),
              },
            ]
          : [],
      ),
    },
  };
}

const most = 100;

/** Reads a file; throws an Error whose message tells what is wrong with it, and where. */
export function parseLab(text: string): LabFile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("The file is no JSON. Export a lab to see what one looks like.");
  }
  const top = record(value, "The file");
  if (top.sandboxlabs !== "lab/1") {
    throw new Error('The file is no lab: "sandboxlabs" is not "lab/1".');
  }
  const networks = list(top.networks, "networks").map((entry, i): FileNetwork => {
    const network = record(entry, `networks[${i}]`);
    return {
      name: word(network.name, `networks[${i}].name`),
      addresses: network.addresses !== false,
      ...position(network, `networks[${i}]`),
    };
  });
  const nodes = list(top.nodes, "nodes").map((entry, i): FileNode => {
    const at = `nodes[${i}]`;
    const node = record(entry, at);
    const onto = list(node.networks, `${at}.networks`).map((name, k) => {
      const network = word(name, `${at}.networks[${k}]`);
      if (!networks.some((other) => other.name === network)) {
        throw new Error(`${at}.networks[${k}]: the file has no network "${network}".`);
      }
      return network;
    });
    return {
      name: word(node.name, `${at}.name`),
      image: word(node.image, `${at}.image`),
      ...(node.osType === undefined ? {} : { osType: word(node.osType, `${at}.osType`) }),
      ram: amount(node.ram, `${at}.ram`),
      cpus: amount(node.cpus, `${at}.cpus`),
      disk: amount(node.disk, `${at}.disk`),
      networks: onto,
      ...position(node, at),
    };
  });
  unique(networks, "networks");
  unique(nodes, "nodes");
  return { sandboxlabs: "lab/1", name: word(top.name, "name"), networks, nodes };
}

function record(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error(`${at} is not an object.`);
  }
  return value as Record<string, unknown>;
}

function list(value: unknown, at: string): unknown[] {
  if (value === undefined) {
    return [];
  }
  if (!Array.isArray(value) || value.length > most) {
    throw new Error(`${at} is not a list of at most ${most}.`);
  }
  return value;
}

function word(value: unknown, at: string): string {
  if (typeof value !== "string" || value === "" || value.length > 255) {
    throw new Error(`${at} is not a text of 1 to 255 characters.`);
  }
  return value;
}

function amount(value: unknown, at: string): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new Error(`${at} is not a whole number.`);
  }
  return value;
}

function position(value: Record<string, unknown>, at: string): Position {
  const { x = 0, y = 0 } = value;
  if (typeof x !== "number" || typeof y !== "number" || !(Math.abs(x) <= 100_000) || !(Math.abs(y) <= 100_000)) {
    throw new Error(`${at}: x and y are numbers of at most 100,000.`);
  }
  return { x, y };
}

function unique(things: readonly { name: string }[], at: string): void {
  const twice = things.find(({ name }, i) => things.findIndex((other) => other.name === name) !== i);
  if (twice) {
    throw new Error(`${at}: the name "${twice.name}" is there twice.`);
  }
}

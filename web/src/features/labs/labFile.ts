import type { Lab, LabFile, Node } from "../../shared/api/types";
import { type Position, linksOf, nodesOf } from "./layout";

/** Exports a lab. Nodes without an image could not be recreated and are left out. */
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
      nodes: nodes.flatMap(({ id, name, image, osType, firmware, tpm, resources }) =>
        image
          ? [
              {
                name,
                image: image.id,
                ...(osType ? { osType } : {}),
                firmware,
                tpm,
                ram: resources.ram,
                cpus: resources.cpus,
                disk: resources.disk,
                networks: links
                  .filter((link) => link.node === id)
                  .flatMap((link) =>
                    lab.networks.filter((network) => network.id === link.network).map((network) => network.name),
                  ),
                ...place(lab.nodes, id),
              },
            ]
          : [],
      ),
    },
  };
}

const largestFile = 1024 * 1024;

/** Reads a file to import. The service checks its contents. */
export async function readLabFile(file: File): Promise<LabFile> {
  if (file.size > largestFile) {
    throw new Error("File too large.");
  }
  try {
    return JSON.parse(await file.text()) as LabFile;
  } catch {
    throw new Error("Not a lab file (invalid JSON).");
  }
}

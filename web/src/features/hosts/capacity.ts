import type { Host, Node, NodeState } from "../../shared/api/types";

/** The shares of a resource from which its bar warns, and from which it alarms. */
export const warnFrom = { warning: 0.8, danger: 0.95 } as const;

type Pool = Host["pools"][number];

/** The room of one filesystem, and the pools that share it. */
export interface Disk {
  /** "images, nodes" */
  roles: string;
  capacity: number;
  available: number;
}

/** The filesystems below a host's pools: pools of the same size with (nearly) the same room left share one. */
export function disksOf(pools: readonly Pool[]): Disk[] {
  const disks: Disk[] = [];
  for (const { role, capacity, available } of pools) {
    if (capacity <= 0) {
      continue;
    }
    const shared = disks.find((disk) => disk.capacity === capacity && Math.abs(disk.available - available) < capacity / 100);
    if (!shared) {
      disks.push({ roles: role, capacity, available });
    } else {
      shared.available = Math.min(shared.available, available);
      shared.roles = shared.roles.split(", ").includes(role) ? shared.roles : `${shared.roles}, ${role}`;
    }
  }
  return disks;
}

/** What of a host is given to the nodes that hold it now. */
export interface Committed {
  nodes: number;
  cpus: number;
  ramBytes: number;
}

const holdsNothing: readonly NodeState[] = ["stopped", "crashed", "unreachable"];
const mebibyte = 1024 ** 2;

/** Adds up what the nodes on a host hold; a node that is off holds nothing. */
export function committedTo(host: string, nodes: readonly Node[]): Committed {
  const held = nodes.filter((node) => node.host === host && !holdsNothing.includes(node.state));
  return {
    nodes: held.length,
    cpus: held.reduce((sum, { resources }) => sum + resources.cpus, 0),
    ramBytes: held.reduce((sum, { resources }) => sum + resources.ram * mebibyte, 0),
  };
}

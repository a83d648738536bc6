import type { Host, Node, NodeState } from "../../shared/api/types";
import { plural } from "../../shared/format";

/** The shares of a resource from which its bar warns, and from which it alarms. */
export const warnFrom = { warning: 0.8, danger: 0.95 } as const;

type Pool = Host["pools"][number];

/** The room of one filesystem, and the pools that share it. */
export interface Disk {
  /** "images, nodes" */
  roles: string;
  capacity: number;
  available: number;
  /** The worst of the pools' levels: in a critical one nothing more is made. */
  level: Pool["level"];
}

const levels: readonly Pool["level"][] = ["ok", "warning", "critical"];

/** The filesystems below a host's pools: pools of the same size with (nearly) the same room left share one. */
export function disksOf(pools: readonly Pool[]): Disk[] {
  const disks: Disk[] = [];
  for (const { role, capacity, available, level } of pools) {
    if (capacity <= 0) {
      continue;
    }
    const shared = disks.find((disk) => disk.capacity === capacity && Math.abs(disk.available - available) < capacity / 100);
    if (!shared) {
      disks.push({ roles: role, capacity, available, level });
    } else {
      shared.level = levels.indexOf(level) > levels.indexOf(shared.level) ? level : shared.level;
      shared.available = Math.min(shared.available, available);
      shared.roles = shared.roles.split(", ").includes(role) ? shared.roles : `${shared.roles}, ${role}`;
    }
  }
  return disks;
}

/** How much more fits, about: "room for about 40 nodes, 12 images"; empty when it cannot be told. */
export function forecastOf(pools: readonly Pool[]): string {
  const least = (rooms: (number | undefined)[]) => {
    const known = rooms.filter((room) => room !== undefined);
    return known.length > 0 ? Math.min(...known) : undefined;
  };
  const nodes = least(pools.map(({ roomForNodes }) => roomForNodes));
  const images = least(pools.map(({ roomForImages }) => roomForImages));
  const parts = [...(nodes === undefined ? [] : [plural(nodes, "node")]), ...(images === undefined ? [] : [plural(images, "image")])];
  return parts.length > 0 ? `Room for about ${parts.join(", ")} more` : "";
}

/** What the nodes' overlays save against full copies of their disks; null where there is nothing to save yet. */
export function savingOf(pools: readonly Pool[]): { copies: number; taken: number; times: number } | null {
  const pool = pools.find(({ role }) => role === "nodes");
  const { fullCopies = 0, overlayEfficiency: times = 1 } = pool ?? {};
  return fullCopies > 0 && times > 1.05 ? { copies: fullCopies, taken: fullCopies / times, times } : null;
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

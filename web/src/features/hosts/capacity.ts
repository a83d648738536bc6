import type { Host, Node, NodeState } from "../../shared/api/types";
import { plural } from "../../shared/format";

/** The shares of a resource from which its bar shows a warning or an error. */
export const warnFrom = { warning: 0.8, danger: 0.95 } as const;

type Pool = Host["pools"][number];

/** The space of one filesystem, and the pools that share it. */
export interface Disk {
  /** "images, nodes" */
  roles: string;
  capacity: number;
  available: number;
  /** The worst level of the pools: a critical pool accepts nothing new. */
  level: Pool["level"];
}

const levels: readonly Pool["level"][] = ["ok", "warning", "critical"];

/** Returns the filesystems of a host's pools: pools of the same size with (nearly) the same free space share one. */
export function disksOf(pools: readonly Pool[]): Disk[] {
  const disks: Disk[] = [];
  for (const { role, capacity, available, level } of pools) {
    if (capacity <= 0) {
      continue;
    }
    const shared = disks.find(
      (disk) => disk.capacity === capacity && Math.abs(disk.available - available) < capacity / 100,
    );
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

/** Returns about how much more fits: "Disk space for about 40 more nodes or 12 more images"; empty if unknown. */
export function forecastOf(pools: readonly Pool[]): string {
  const least = (counts: (number | undefined)[]) => {
    const known = counts.filter((count) => count !== undefined);
    return known.length > 0 ? Math.min(...known) : undefined;
  };
  const nodes = least(pools.map(({ roomForNodes }) => roomForNodes));
  const images = least(pools.map(({ roomForImages }) => roomForImages));
  const parts = [
    ...(nodes === undefined ? [] : [plural(nodes, "more node")]),
    ...(images === undefined ? [] : [plural(images, "more image")]),
  ];
  return parts.length > 0 ? `Disk space for about ${parts.join(" or ")}` : "";
}

/** Returns what overlays save compared to full copies of the disks; null if there are no overlays yet. */
export function savingOf(pools: readonly Pool[]): { copies: number; taken: number; times: number } | null {
  const pool = pools.find(({ role }) => role === "nodes");
  const { fullCopies = 0, overlayEfficiency: times = 1 } = pool ?? {};
  return fullCopies > 0 && times > 1.05 ? { copies: fullCopies, taken: fullCopies / times, times } : null;
}

/** The resources of a host that are allocated to nodes. */
export interface Committed {
  nodes: number;
  cpus: number;
  ramBytes: number;
}

const holdsNothing: readonly NodeState[] = ["stopped", "crashed", "unreachable"];
const mebibyte = 1024 ** 2;

/** Adds up what the nodes on a host use; stopped nodes use nothing. */
export function committedTo(host: string, nodes: readonly Node[]): Committed {
  const held = nodes.filter((node) => node.host === host && !holdsNothing.includes(node.state));
  return {
    nodes: held.length,
    cpus: held.reduce((sum, { resources }) => sum + resources.cpus, 0),
    ramBytes: held.reduce((sum, { resources }) => sum + resources.ram * mebibyte, 0),
  };
}

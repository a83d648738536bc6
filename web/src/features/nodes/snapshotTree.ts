import type { Snapshot } from "../../shared/api/types";

/** A snapshot with its children. */
export interface Branch {
  snapshot: Snapshot;
  children: Branch[];
}

/** Returns the snapshots as trees. A snapshot whose parent was deleted becomes a root. */
export function treeOf(snapshots: readonly Snapshot[]): Branch[] {
  const branches = new Map(snapshots.map((snapshot) => [snapshot.name, { snapshot, children: [] as Branch[] }]));
  const roots: Branch[] = [];
  for (const branch of branches.values()) {
    const { parent } = branch.snapshot;
    const above = parent === undefined ? undefined : branches.get(parent);
    (above && above !== branch ? above.children : roots).push(branch);
  }
  return roots;
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Returns the problem of a new snapshot's name; empty if it is valid. The name is optional. */
export function snapshotNameProblem(name: string, taken: readonly string[]): string {
  if (name !== "" && !namePattern.test(name)) {
    return "Use letters, digits, ., - and _; at most 63. Start with a letter or digit.";
  }
  return taken.includes(name) ? `The name ${name} is taken.` : "";
}

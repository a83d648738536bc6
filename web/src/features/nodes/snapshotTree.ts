import type { Snapshot } from "../../shared/api/types";

/** A snapshot with those that were taken when the node went on from it. */
export interface Branch {
  snapshot: Snapshot;
  children: Branch[];
}

/** The snapshots as trees. One whose parent is gone begins a tree of its own. */
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

/** What is wrong with a new snapshot's name, as a sentence; empty when nothing is, as in one that is left to the service. */
export function snapshotNameProblem(name: string, taken: readonly string[]): string {
  if (name !== "" && !namePattern.test(name)) {
    return "Begin with a letter or a digit; letters, digits, dots, dashes and underscores follow, at most 63 in all.";
  }
  return taken.includes(name) ? `There is a snapshot named ${name} already. Choose another name.` : "";
}

import type { Node, NodeState } from "../../shared/api/types";
import type { Lifecycle } from "./api/lifecycle";

/** What a user may do with a node from its menu. */
export type NodeAction = Lifecycle | "edit" | "rename" | "clone" | "makeImage" | "delete";

const states: Record<NodeAction, readonly NodeState[]> = {
  run: ["stopped", "crashed"],
  stop: ["running"],
  reboot: ["running"],
  pause: ["running"],
  resume: ["paused"],
  suspend: ["running", "paused"],
  discardSavedState: ["stopped"],
  reset: ["running", "paused", "crashed"],
  forceOff: ["running", "paused", "starting", "stopping"],
  edit: ["running", "stopped", "paused", "crashed"],
  // libvirt renames domains that are off, and no others.
  rename: ["stopped"],
  clone: ["running", "stopped", "paused", "crashed"],
  makeImage: ["stopped"],
  adopt: ["running", "stopped", "paused", "crashed"],
  wipe: ["running", "stopped", "paused", "crashed"],
  delete: ["running", "stopped", "paused", "starting", "stopping", "crashed"],
};

/** Only nodes that are ours may be edited, copied, wiped or deleted, and only others adopted. */
const managed: Partial<Record<NodeAction, boolean>> = {
  edit: true, clone: true, makeImage: true, wipe: true, delete: true, discardSavedState: true, adopt: false,
};

/** What the start from a saved state would undo. */
const undone: readonly NodeAction[] = ["edit", "rename", "clone", "makeImage", "adopt"];

/** What takes the right to manage a node; all else takes the right to use it. */
const manages: readonly NodeAction[] = ["edit", "rename", "clone", "makeImage", "adopt", "delete"];

/** Whether an action makes sense for a node as it is now, and the user may do it. */
export function isOffered(action: NodeAction, node: Node): boolean {
  if (action === "adopt" && !node.persistent) {
    return false; // a transient domain is gone when it stops
  }
  if (action === "suspend" && !node.persistent) {
    return false;
  }
  if (node.savedState ? undone.includes(action) : action === "discardSavedState") {
    return false;
  }
  // One that has crashed may be kept as it was then; its screen is there still.
  const isKept = action === "forceOff" && node.state === "crashed" && node.vnc !== undefined;
  return (
    (states[action].includes(node.state) || isKept) &&
    (managed[action] ?? node.managed) === node.managed &&
    (node.access === "manage" || (node.access === "use" && !manages.includes(action)))
  );
}

/** Whether something is lost by it, so that the user is asked first. */
export function isDestructive(action: NodeAction): boolean {
  return action === "delete" || action === "wipe" || action === "forceOff" || action === "reset" || action === "discardSavedState";
}

import type { Node, NodeState } from "../../shared/api/types";
import type { Lifecycle } from "./api/lifecycle";

/** The actions in a node's menu. */
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
  // libvirt can only rename stopped domains.
  rename: ["stopped"],
  clone: ["running", "stopped", "paused", "crashed"],
  makeImage: ["stopped"],
  adopt: ["running", "stopped", "paused", "crashed"],
  wipe: ["running", "stopped", "paused", "crashed"],
  delete: ["running", "stopped", "paused", "starting", "stopping", "crashed"],
};

/** Only managed nodes may be edited, cloned, wiped or deleted; only unmanaged ones may be adopted. */
const managed: Partial<Record<NodeAction, boolean>> = {
  edit: true,
  clone: true,
  makeImage: true,
  wipe: true,
  delete: true,
  discardSavedState: true,
  adopt: false,
};

/** Actions that starting from a saved state would undo. */
const undone: readonly NodeAction[] = ["edit", "rename", "clone", "makeImage", "adopt"];

/** Actions that need the right to manage a node; the others need the right to use it. */
const manages: readonly NodeAction[] = ["edit", "rename", "clone", "makeImage", "adopt", "delete"];

/** Whether an action is possible in the node's current state, and the user may do it. */
export function isOffered(action: NodeAction, node: Node): boolean {
  if (action === "adopt" && !node.persistent) {
    return false; // a transient domain no longer exists when it stops
  }
  if (action === "suspend" && !node.persistent) {
    return false;
  }
  if (node.savedState ? undone.includes(action) : action === "discardSavedState") {
    return false;
  }
  // libvirt may preserve a crashed domain; it still has its screen then.
  const isKept = action === "forceOff" && node.state === "crashed" && node.vnc !== undefined;
  return (
    (states[action].includes(node.state) || isKept) &&
    (managed[action] ?? node.managed) === node.managed &&
    (node.access === "manage" || (node.access === "use" && !manages.includes(action)))
  );
}

/** Whether an action loses data, so that the user must confirm it. */
export function isDestructive(action: NodeAction): boolean {
  return (
    action === "delete" ||
    action === "wipe" ||
    action === "forceOff" ||
    action === "reset" ||
    action === "discardSavedState"
  );
}

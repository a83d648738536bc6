import type { Node } from "../../shared/api/types";

/** Whether a node uses its host's memory: it is running or paused, or changing to or from that. */
export function isActive({ state }: Node): boolean {
  return state === "running" || state === "paused" || state === "starting" || state === "stopping";
}

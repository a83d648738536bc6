import type { Node } from "../../shared/api/types";

/** Whether a node holds its host's memory: it runs, is paused, or is on its way to or from that. */
export function isActive({ state }: Node): boolean {
  return state === "running" || state === "paused" || state === "starting" || state === "stopping";
}

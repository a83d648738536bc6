import { api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { type ChangeOf, useNodeChange } from "./changes";

/** The requests that change a node's state, or adopt it. */
export type Lifecycle =
  | "run"
  | "stop"
  | "forceOff"
  | "reboot"
  | "reset"
  | "pause"
  | "resume"
  | "suspend"
  | "discardSavedState"
  | "wipe"
  | "adopt";

export async function changeLifecycle(id: string, change: Lifecycle): Promise<Node> {
  const params = { path: { id } };
  switch (change) {
    case "run":
      return bodyOf(api.POST("/api/nodes/{id}/run", { params }));
    case "stop":
      return bodyOf(api.POST("/api/nodes/{id}/stop", { params, body: {} }));
    case "forceOff":
      return bodyOf(api.POST("/api/nodes/{id}/stop", { params, body: { force: true } }));
    case "reboot":
      return bodyOf(api.POST("/api/nodes/{id}/reboot", { params }));
    case "reset":
      return bodyOf(api.POST("/api/nodes/{id}/reset", { params }));
    case "pause":
      return bodyOf(api.POST("/api/nodes/{id}/pause", { params }));
    case "resume":
      return bodyOf(api.POST("/api/nodes/{id}/resume", { params }));
    case "suspend":
      return bodyOf(api.POST("/api/nodes/{id}/suspend", { params }));
    case "discardSavedState":
      return bodyOf(api.POST("/api/nodes/{id}/discard-saved-state", { params }));
    case "wipe":
      return bodyOf(api.POST("/api/nodes/{id}/wipe", { params, body: { force: true } }));
    case "adopt":
      return bodyOf(api.POST("/api/nodes/{id}/adopt", { params }));
  }
}

export const lifecycleChange: ChangeOf<Lifecycle, Node> = {
  send: changeLifecycle,
  foresee: (id, lifecycle) => ({ id, lifecycle }),
  nodeIn: (node) => node,
};

export function useLifecycle(id: string) {
  return useNodeChange(id, lifecycleChange);
}

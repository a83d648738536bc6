import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";
import { nodesKey } from "./listNodes";

/** The requests that move a node from state to state, or make it ours. */
export type Lifecycle = "run" | "stop" | "forceOff" | "reboot" | "reset" | "pause" | "resume" | "wipe" | "adopt";

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
    case "wipe":
      return bodyOf(api.POST("/api/nodes/{id}/wipe", { params, body: { force: true } }));
    case "adopt":
      return bodyOf(api.POST("/api/nodes/{id}/adopt", { params }));
  }
}

export function useLifecycle(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: Lifecycle) => changeLifecycle(id, change),
    onSettled: () => queries.invalidateQueries({ queryKey: nodesKey }),
  });
}

import { useMutation } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Job } from "../../../shared/api/types";

/** Starts a job that creates an image from a node's disk. */
export async function makeImage(id: string, name: string): Promise<Job> {
  return bodyOf(api.POST("/api/nodes/{id}/image", { params: { path: { id } }, body: { name } }));
}

export function useMakeImage(id: string) {
  return useMutation({ mutationFn: (name: string) => makeImage(id, name) });
}

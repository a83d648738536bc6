import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";

/** Twice the width of a thumbnail, for high-resolution displays. Pixels. */
const width = 480;
const renewedEvery = 10_000;

/** Whether a node has a screen now. */
export function hasScreen({ state, vnc }: Node): boolean {
  return vnc !== undefined && (state === "running" || state === "paused" || state === "stopping");
}

async function fetchScreenshot(id: string, signal: AbortSignal): Promise<string> {
  const params = { path: { id }, query: { width } };
  const picture: unknown = await bodyOf(api.GET("/api/nodes/{id}/screenshot", { params, parseAs: "blob", signal }));
  return dataURL(picture as Blob);
}

/** Returns a blob as a data URL, which unlike an object URL does not have to be revoked. */
function dataURL(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error("Couldn't read the picture."));
    reader.readAsDataURL(file);
  });
}

/**
 * The URL of a screenshot of a node, refreshed while isSeen; undefined while there is none.
 * Requests carry the ETag of the current picture, so that an unchanged screen costs little.
 */
export function useScreenshot(node: Node, isSeen: boolean): string | undefined {
  const isOn = hasScreen(node);
  const { data } = useQuery({
    queryKey: ["screenshot", node.id, node.started],
    queryFn: ({ signal }) => fetchScreenshot(node.id, signal),
    enabled: isOn && isSeen,
    staleTime: renewedEvery,
    gcTime: 60_000,
    retry: false,
    refetchInterval: node.state === "paused" ? false : renewedEvery,
  });
  return isOn ? data : undefined;
}

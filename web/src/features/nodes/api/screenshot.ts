import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Node } from "../../../shared/api/types";

/** Twice what a thumbnail is wide, for sharp screens. Pixels. */
const width = 480;
const renewedEvery = 10_000;

/** Whether a node has a screen to look at now. */
export function hasScreen({ state, vnc }: Node): boolean {
  return vnc !== undefined && (state === "running" || state === "paused" || state === "stopping");
}

async function fetchScreenshot(id: string, signal: AbortSignal): Promise<string> {
  const params = { path: { id }, query: { width } };
  const picture: unknown = await bodyOf(api.GET("/api/nodes/{id}/screenshot", { params, parseAs: "blob", signal }));
  return dataURL(picture as Blob);
}

/** The content of a file as an address, which unlike an object's needs nobody to take it back. */
function dataURL(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error("The picture cannot be read."));
    reader.readAsDataURL(file);
  });
}

/**
 * The address of a picture of a node's screen, renewed while isSeen; undefined
 * while there is none. The browser asks with the tag of the picture it has, so
 * that a screen which stands still costs next to nothing.
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

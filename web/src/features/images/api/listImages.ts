import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { changeLog } from "../../../shared/live/changes";
import { type ImageLists, applyToImages } from "../liveImages";

export const imagesKey = ["images"] as const;

export async function fetchImages(): Promise<ImageLists> {
  return changeLog.reconcile(async () => {
    const { baseImages, customImages } = await bodyOf(api.GET("/api/images"));
    return { baseImages, customImages };
  }, applyToImages);
}

export function useImages() {
  return useQuery({ queryKey: imagesKey, queryFn: fetchImages });
}

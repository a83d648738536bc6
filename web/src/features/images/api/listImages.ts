import { useQuery } from "@tanstack/react-query";

import { api, pagesOf } from "../../../shared/api/client";
import { changeLog } from "../../../shared/live/changes";
import { type ImageLists, applyToImages } from "../liveImages";

export const imagesKey = ["images"] as const;

export async function fetchImages(): Promise<ImageLists> {
  return changeLog.reconcile(async () => {
    const pages = await pagesOf((query) => api.GET("/api/images", { params: { query } }));
    return {
      baseImages: pages.flatMap(({ baseImages }) => baseImages),
      customImages: pages.flatMap(({ customImages }) => customImages),
    };
  }, applyToImages);
}

export function useImages() {
  return useQuery({ queryKey: imagesKey, queryFn: fetchImages });
}

import { useImages } from "../features/images/api/listImages";
import type { Image } from "../shared/api/types";

/** All images in one list, base images first; undefined while loading. */
export function useAllImages(): readonly Image[] | undefined {
  const { data } = useImages();
  return data && [...data.baseImages, ...data.customImages];
}

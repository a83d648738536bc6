import type { Image } from "../../shared/api/types";
import type { Change } from "../../shared/live/changes";

/** All images in the order of the service. */
export interface ImageLists {
  baseImages: Image[];
  customImages: Image[];
}

/** Returns the images after a change; the same value if it is not about images. */
export function applyToImages(lists: ImageLists, change: Change): ImageLists {
  if (change.type === "image.changed") {
    const { image } = change;
    return image.type === "base"
      ? { ...lists, baseImages: put(lists.baseImages, image) }
      : { ...lists, customImages: put(lists.customImages, image) };
  }
  if (change.type === "image.removed") {
    const stays = (image: Image) => image.id !== change.id || image.host !== change.host;
    return { baseImages: lists.baseImages.filter(stays), customImages: lists.customImages.filter(stays) };
  }
  return lists;
}

function put(images: Image[], changed: Image): Image[] {
  const isIt = (image: Image) => image.id === changed.id && image.host === changed.host;
  return images.some(isIt) ? images.map((image) => (isIt(image) ? changed : image)) : [...images, changed];
}

import type { Image } from "../../shared/api/types";

/** Which images a list shows. */
export type Shown = "all" | "base" | "custom" | "attention";

export function readShown(text: string | null): Shown {
  return text === "base" || text === "custom" || text === "attention" ? text : "all";
}

/** What an image is called. */
export function titleOf({ displayName, name }: Pick<Image, "displayName" | "name">): string {
  return displayName || name;
}

/** An image's place in lists: one id may be on several hosts. */
export function keyOf({ host, id }: Pick<Image, "host" | "id">): string {
  return `${host}/${id}`;
}

/** Whether somebody should look at an image: it cannot be used, and nothing is under way that changes that. */
export function needsAttention({ state }: Pick<Image, "state">): boolean {
  return state === "rejected" || state === "unverified" || state === "changed";
}

function isShown(image: Image, shown: Shown): boolean {
  return shown === "all" || (shown === "attention" ? needsAttention(image) : image.type === shown);
}

/** The images that hold a text in their names, tags or owner, the newest first. */
export function findImages(images: readonly Image[], search: string, shown: Shown): Image[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return images
    .filter((image) => {
      const text = [image.displayName, image.name, image.format, image.osType, image.owner, image.host, image.description, ...image.tags]
        .join(" ")
        .toLowerCase();
      return isShown(image, shown) && words.every((word) => text.includes(word));
    })
    .sort((a, b) => b.created.localeCompare(a.created) || a.name.localeCompare(b.name));
}

/** Tags as they are typed, separated by commas: without blanks around them, each once. */
export function readTags(text: string): string[] {
  return [...new Set(text.split(",").map((tag) => tag.trim()).filter(Boolean))];
}

import type { Image } from "../../shared/api/types";

/** The images that a list shows. */
export type Shown = "all" | "base" | "custom" | "attention";

export function readShown(text: string | null): Shown {
  return text === "base" || text === "custom" || text === "attention" ? text : "all";
}

/** Returns an image's display name. */
export function titleOf({ displayName, name }: Pick<Image, "displayName" | "name">): string {
  return displayName || name;
}

/** Returns a React key for an image: the same ID can exist on several hosts. */
export function keyOf({ host, id }: Pick<Image, "host" | "id">): string {
  return `${host}/${id}`;
}

/** Whether an image needs attention: it can't be used, and no running job will change that. */
export function needsAttention({ state }: Pick<Image, "state">): boolean {
  return state === "rejected" || state === "unverified" || state === "changed";
}

function isShown(image: Image, shown: Shown): boolean {
  return shown === "all" || (shown === "attention" ? needsAttention(image) : image.type === shown);
}

/** Returns the images whose name, tags or owner contain a text, newest first. */
export function findImages(images: readonly Image[], search: string, shown: Shown): Image[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return images
    .filter((image) => {
      const text = [
        image.displayName,
        image.name,
        image.format,
        image.osType,
        image.owner,
        image.host,
        image.description,
        ...image.tags,
      ]
        .join(" ")
        .toLowerCase();
      return isShown(image, shown) && words.every((word) => text.includes(word));
    })
    .sort((a, b) => b.created.localeCompare(a.created) || a.name.localeCompare(b.name));
}

/** Parses tags separated by commas: trimmed, without duplicates. */
export function readTags(text: string): string[] {
  return [
    ...new Set(
      text
        .split(",")
        .map((tag) => tag.trim())
        .filter(Boolean),
    ),
  ];
}

import type { Guide, GuideOutline, Heading } from "./outline";

/** The guides to list first, in this order; the others follow by title. */
const order = [
  "first-steps",
  "users-and-sharing",
  "rest-by-example",
  "images",
  "guacamole",
  "security",
  "troubleshooting",
];

const outlines = import.meta.glob<GuideOutline>("../../../../docs/*.md", {
  query: "?headings",
  import: "default",
  eager: true,
});
const texts = import.meta.glob<Guide>("../../../../docs/*.md", { import: "default" });

function nameOf(path: string): string {
  return path.replace(/^.*\//, "").replace(/\.md$/, "");
}

/** The outlines of all guides by name, in display order. */
export const guides: readonly (GuideOutline & { name: string })[] = Object.entries(outlines)
  .map(([path, outline]) => ({ name: nameOf(path), ...outline }))
  .sort((a, b) => rank(a.name) - rank(b.name) || a.title.localeCompare(b.title));

function rank(name: string): number {
  const at = order.indexOf(name);
  return at < 0 ? order.length : at;
}

/** Loads a guide's text; null if the guide does not exist. */
export async function loadGuide(name: string): Promise<Guide | null> {
  const load = Object.entries(texts).find(([path]) => nameOf(path) === name)?.[1];
  return load ? load() : null;
}

/** A guide with the headings that contain all words of the search. */
export interface Found {
  name: string;
  title: string;
  headings: readonly Heading[];
}

/** Returns the guides with matching headings, and those headings; without a search all guides with their main headings. */
export function findHeadings(list: readonly (GuideOutline & { name: string })[], search: string): Found[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (text: string) => words.every((word) => text.toLowerCase().includes(word));
  return list
    .map(({ name, title, headings }) => ({
      name,
      title,
      headings: headings.filter(({ level, text }) =>
        words.length === 0 ? level === 2 : level > 1 && fits(`${title} ${text}`),
      ),
    }))
    .filter(({ title, headings }) => headings.length > 0 || words.length === 0 || fits(title));
}

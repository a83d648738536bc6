/** A heading of a guide that links can point to. */
export interface Heading {
  level: number;
  text: string;
  id: string;
}

/** A guide without its text. */
export interface GuideOutline {
  title: string;
  headings: readonly Heading[];
}

/** A guide. Its HTML is generated from the repository's Markdown when the UI is built. */
export interface Guide extends GuideOutline {
  html: string;
}

/** A heading of a guide, which a link can lead to. */
export interface Heading {
  level: number;
  text: string;
  id: string;
}

/** What is known of a guide without its text. */
export interface GuideOutline {
  title: string;
  headings: readonly Heading[];
}

/** A guide: its HTML is made of the repository's own Markdown when the UI is built. */
export interface Guide extends GuideOutline {
  html: string;
}

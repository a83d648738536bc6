import { readFileSync } from "node:fs";

import type { Plugin } from "vite";

import { renderGuide } from "../src/features/help/render.ts";

/**
 * Makes the guides in docs/ part of the UI, so that they can be read where there
 * is no connection to the Internet: each Markdown file becomes a module with its page, loaded by
 * those who open it; with ?headings, one with no more than its headings.
 */
export function guides(): Plugin {
  return {
    name: "guides",
    enforce: "pre",
    load(id) {
      const [path = "", query = ""] = id.split("?");
      if (!path.endsWith(".md")) {
        return null;
      }
      this.addWatchFile(path);
      const { title, html, headings } = renderGuide(readFileSync(path, "utf8"));
      const given = query.includes("headings") ? { title, headings } : { title, headings, html };
      return `export default ${JSON.stringify(given)};`;
    },
  };
}

import { readFileSync } from "node:fs";

import type { Plugin } from "vite";

import { renderGuide } from "../src/features/help/render.ts";

/**
 * Adds the guides in docs/ to the UI, so that they can be read without Internet access: each
 * Markdown file becomes a module with the rendered page, which is loaded on demand; with
 * ?headings, a module with only its headings.
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

import { Marked, type Token } from "marked";

import type { Guide, Heading } from "./outline";

/**
 * Renders a guide when the UI is built. Links to other guides lead to their pages in the UI;
 * links to other files of the repository become plain text, because readers don't have them.
 */
export function renderGuide(markdown: string): Guide {
  const headings: Heading[] = [];
  const used = new Map<string, number>();
  const marked = new Marked({
    renderer: {
      heading({ tokens, depth, text }) {
        const plain = text.replace(/[`*]/g, "").replace(/\[([^\]]*)\]\([^)]*\)/g, "$1");
        const slug = plain
          .toLowerCase()
          .replace(/[^\p{L}\p{N}\s-]/gu, "")
          .trim()
          .replace(/\s+/g, "-");
        const times = used.get(slug) ?? 0;
        used.set(slug, times + 1);
        const id = times > 0 ? `${slug}-${times}` : slug;
        headings.push({ level: depth, text: plain, id });
        return `<h${depth} id="${id}">${this.parser.parseInline(tokens)}</h${depth}>\n`;
      },
      link({ href, tokens }) {
        const text = this.parser.parseInline(tokens);
        const to = linkTo(href);
        if (to === null) {
          return text;
        }
        return to.startsWith("http")
          ? `<a href="${to}" target="_blank" rel="noreferrer">${text}</a>`
          : `<a href="${to}">${text}</a>`;
      },
      image: () => "",
      table({ header, rows }) {
        const cells = (row: readonly { tokens: Token[] }[], tag: string) =>
          `<tr>${row.map(({ tokens }) => `<${tag}>${this.parser.parseInline(tokens)}</${tag}>`).join("")}</tr>`;
        // Wide tables scroll on their own, also by keyboard.
        return `<div class="sl-guide__table" tabindex="0"><table><thead>${cells(header, "th")}</thead><tbody>${rows
          .map((row) => cells(row, "td"))
          .join("\n")}</tbody></table></div>\n`;
      },
      code: ({ text }) => `<pre tabindex="0"><code>${escaped(text)}</code></pre>\n`,
    },
  });
  const html = marked.parse(markdown, { async: false });
  return { title: headings[0]?.text ?? "", html, headings };
}

/** Returns where a guide's link leads in the UI; null if nowhere. */
export function linkTo(href: string): string | null {
  if (/^(https?:|#|\/)/.test(href)) {
    return href; // a path of the service, such as /api/docs
  }
  const [, guide, anchor = ""] = /^(?:\.\/)?([\w-]+)\.md(#.*)?$/.exec(href) ?? [];
  return guide === undefined ? null : `/help/${guide}${anchor}`;
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

import { expect, test } from "vitest";

import { findHeadings, guides, loadGuide } from "./guides";
import { linkTo, renderGuide } from "./render";

test.each([
  ["https://example.org/", "https://example.org/"],
  ["#connect-it", "#connect-it"],
  ["guacamole.md", "/help/guacamole"],
  ["./images.md#formats", "/help/images#formats"],
  ["/api/docs", "/api/docs"],
  ["../deploy/README.md", null],
  ["screenshots/nodes-light.png", null],
])("linkTo(%s)", (href, expected) => {
  expect(linkTo(href)).toBe(expected);
});

test("a guide has linkable headings and escaped code", () => {
  const guide = renderGuide(
    "# The `title`\n\n## Do it\n\n```sh\ncat <a> && b\n```\n\n## Do it\n\nSee [there](../x.md).\n",
  );
  expect(guide.title).toBe("The title");
  expect(guide.headings.map(({ id }) => id)).toEqual(["the-title", "do-it", "do-it-1"]);
  expect(guide.html).toContain("cat &lt;a&gt; &amp;&amp; b");
  expect(guide.html).toContain("See there.");
});

test("headings match all words, also those of the guide's title", () => {
  const list = [
    {
      name: "a",
      title: "Images",
      headings: [
        { level: 1, text: "Images", id: "images" },
        { level: 2, text: "Upload a disk", id: "upload" },
      ],
    },
    {
      name: "b",
      title: "Users",
      headings: [
        { level: 2, text: "Share a disk", id: "share" },
        { level: 3, text: "Quota", id: "quota" },
      ],
    },
  ];
  const found = (search: string) =>
    findHeadings(list, search).map(({ name, headings }) => [name, ...headings.map(({ id }) => id)]);
  expect(found("")).toEqual([
    ["a", "upload"],
    ["b", "share"],
  ]);
  expect(found("DISK")).toEqual([
    ["a", "upload"],
    ["b", "share"],
  ]);
  expect(found("users quota")).toEqual([["b", "quota"]]);
  expect(found("nothing")).toEqual([]);
});

test("every link between guides leads to an existing heading", async () => {
  const broken: string[] = [];
  for (const { name } of guides) {
    const { html } = (await loadGuide(name)) ?? { html: "" };
    for (const [, href = ""] of html.matchAll(/href="((?:\/help\/|#)[^"]*)"/g)) {
      const [path = "", anchor] = href.split("#");
      const target = guides.find((guide) => guide.name === (path.replace("/help/", "") || name));
      if (!target || (anchor && !target.headings.some(({ id }) => id === anchor))) {
        broken.push(`${name}: ${href}`);
      }
    }
  }
  expect(broken).toEqual([]);
});

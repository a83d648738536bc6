import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import type { Page } from "@playwright/test";
import type { AxeResults } from "axe-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** The rules that the page breaks, each with the elements at fault. */
export async function violations(page: Page): Promise<string[]> {
  // Evaluated, since the page's own policy lets no script in.
  await page.evaluate(axeSource);
  const results = await page.evaluate<AxeResults>("axe.run()");
  return results.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join("\n")}`);
}

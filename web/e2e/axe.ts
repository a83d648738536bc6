import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import type { Page } from "@playwright/test";
import type { AxeResults } from "axe-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * The rules that the page breaks, each with the elements at fault. A menu that is
 * open hangs at the end of the body, outside of every landmark.
 */
export async function violations(page: Page, { menu = false } = {}): Promise<string[]> {
  // A colour that is on its way from one theme to the other is neither's.
  await page.waitForFunction(() => !document.getAnimations().some((one) => one instanceof CSSTransition));
  // Evaluated, since the page's own policy lets no script in.
  await page.evaluate(axeSource);
  const results = await page.evaluate<AxeResults>(`axe.run({ rules: { region: { enabled: ${!menu} } } })`);
  return results.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join("\n")}`);
}

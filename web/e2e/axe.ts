import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import type { Page } from "@playwright/test";
import type { AxeResults } from "axe-core";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/**
 * Returns the rules that the page violates, with the elements. An open menu is at the end of the
 * body, outside of all landmarks.
 *
 * Animations are awaited, because elements that fade in or change colour have intermediate colours.
 */
export async function violations(page: Page, { menu = false } = {}): Promise<string[]> {
  // Evaluated, because the page's content security policy blocks added scripts.
  await page.evaluate(axeSource);
  const results = await page.evaluate(async (region) => {
    const { axe } = window as unknown as { axe: { run: (options: object) => Promise<AxeResults> } };
    const moving = () =>
      document
        .getAnimations()
        .filter(({ playState, effect }) => playState === "running" && effect?.getComputedTiming().endTime !== Infinity);
    for (;;) {
      await Promise.allSettled(moving().map(({ finished }) => finished));
      const moves: Event[] = [];
      const note = (event: Event) => moves.push(event);
      const starts = ["transitionrun", "animationstart"];
      starts.forEach((start) => document.addEventListener(start, note));
      const found = await axe.run({ rules: { region: { enabled: region } } });
      starts.forEach((start) => document.removeEventListener(start, note));
      if (moves.length === 0 && moving().length === 0) {
        return found;
      }
    }
  }, !menu);
  return results.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html }) => html).join("\n")}`);
}

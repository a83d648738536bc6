import type { Page } from "@playwright/test";

import { expect, test } from "./fixtures";

/** The cost of a first load, as measured by Lighthouse: times in milliseconds since the navigation, sizes in KiB. */
interface Measures {
  firstContentfulPaint: number;
  largestContentfulPaint: number;
  /** When the main thread was idle and the page showed its main content. */
  interactive: number;
  /** The time of long tasks above 50 ms, between the first paint and interactive. */
  totalBlocking: number;
  transferred: number;
  requests: number;
}

const loads = 5;
const largest = 600; // KiB
// Until interactive, in ms. Only valid on an idle machine: `make bench` sets it.
const limit = Number(process.env.SANDBOXLABS_FIRST_PAGE_MS ?? Infinity);

test("the first page is light, and interactive in time", async ({ signedIn, browser, lab }, info) => {
  const storageState = await signedIn.context().storageState();
  const taken: Measures[] = [];
  for (let load = 0; load < loads; load++) {
    // A browser with an empty cache.
    const context = await browser.newContext({ storageState, baseURL: lab.url });
    taken.push(await measure(await context.newPage()));
    await context.close();
  }
  const best = taken.reduce((a, b) => (a.interactive <= b.interactive ? a : b));
  const lines = Object.entries<number>({ ...best }).map(
    ([name, value]) => `${name.padEnd(24)} ${value.toFixed(0).padStart(6)}`,
  );
  const report = `The dashboard, loaded ${loads} times without a cache; the best, times in ms and sizes in KiB:\n${lines.join("\n")}`;
  console.log(report);
  await info.attach("speed.txt", { body: report, contentType: "text/plain" });
  expect(best.transferred, report).toBeLessThan(largest);
  // The best one, because the others also measure what else the machine did.
  expect(best.interactive, report).toBeLessThan(limit);
});

/** Loads the first page after sign-in and measures it. */
async function measure(page: Page): Promise<Measures> {
  await page.addInitScript(() => {
    const seen = { tasks: [] as { start: number; end: number }[], largest: 0 };
    Object.assign(window, { seen });
    new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        seen.tasks.push({ start: startTime, end: startTime + duration });
      }
    }).observe({ type: "longtask", buffered: true });
    new PerformanceObserver((list) => {
      seen.largest = Math.max(seen.largest, ...list.getEntries().map(({ startTime }) => startTime));
    }).observe({ type: "largest-contentful-paint", buffered: true });
    // The menus are the first controls; they exist once React has rendered.
    new MutationObserver((_changes, observer) => {
      if (document.querySelector("main h1") && document.querySelector("header button")) {
        performance.mark("usable");
        observer.disconnect();
      }
    }).observe(document, { childList: true, subtree: true });
  });
  await page.goto("/");
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await page.waitForFunction(
    () =>
      performance.getEntriesByName("usable").length > 0 &&
      performance.getEntriesByName("first-contentful-paint").length > 0,
  );
  // Long tasks are reported when they end; two frames later all of the start's are.
  await page.evaluate(() => new Promise((rest) => requestIdleCallback(rest)));
  return page.evaluate(() => {
    const { seen } = window as unknown as { seen: { tasks: { start: number; end: number }[]; largest: number } };
    const at = (name: string) => performance.getEntriesByName(name)[0]?.startTime ?? Number.NaN;
    const paint = at("first-contentful-paint");
    const usable = Math.max(at("usable"), paint);
    // A task that still runs when the page looks ready delays its response.
    const interactive = seen.tasks.reduce((time, { start, end }) => (start <= time && end > time ? end : time), usable);
    const blocking = seen.tasks
      .filter(({ start, end }) => end > paint && start < interactive)
      .reduce((sum, { start, end }) => sum + Math.max(0, end - start - 50), 0);
    const files = performance.getEntriesByType("resource") as PerformanceResourceTiming[];
    const [document] = performance.getEntriesByType("navigation") as PerformanceNavigationTiming[];
    const bytes = files.reduce((sum, { transferSize }) => sum + transferSize, document?.transferSize ?? 0);
    return {
      firstContentfulPaint: paint,
      largestContentfulPaint: seen.largest,
      interactive,
      totalBlocking: blocking,
      transferred: bytes / 1024,
      requests: files.length + 1,
    };
  });
}

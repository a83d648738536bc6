import { defineConfig } from "@playwright/test";

// Each run has its own folder, because several may run at once. The workers,
// which read this file too, inherit its name.
process.env.SANDBOXLABS_TEST_RESULTS ??= `test-results/${process.pid}`;

// The tests drive the distribution's Chromium: nothing is downloaded.
export default defineConfig({
  testDir: "e2e",
  outputDir: process.env.SANDBOXLABS_TEST_RESULTS,
  preserveOutput: "failures-only",
  fullyParallel: false,
  workers: 2, // each has its own lab
  forbidOnly: Boolean(process.env.CI),
  retries: 0, // flaky tests must be fixed
  reporter: [["list"], ...(process.env.PLAYWRIGHT_JUNIT_OUTPUT_FILE ? [["junit"] as const] : [])],
  timeout: 240_000, // guests boot under software emulation
  expect: { timeout: 15_000 },
  use: {
    viewport: { width: 1280, height: 800 },
    actionTimeout: 15_000,
    trace: "retain-on-failure",
    screenshot: "only-on-failure",
    launchOptions: {
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox"], // impossible as root in a container
    },
  },
  projects: [
    // The longest first, so that no worker waits for it at the end.
    { name: "e2e-labs", testMatch: "labs.spec.ts" },
    { name: "e2e", testMatch: "*.spec.ts", testIgnore: "labs.spec.ts" },
    { name: "screenshots", testMatch: "screenshots.ts" },
  ],
});

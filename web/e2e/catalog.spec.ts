import { createHash } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { test as base, expect } from "./fixtures";
import { microImage } from "./lab";

/** A server of the micro image, which pauses half-way until it is released. */
interface Mirror {
  catalog: string;
  letGo: () => void;
}

const test = base.extend<object, { mirror: Mirror }>({
  mirror: [
    // Playwright reads the fixture's dependencies from the parameter's pattern.
    // eslint-disable-next-line no-empty-pattern
    async ({}, use) => {
      const image = await readFile(microImage);
      const half = Math.floor(image.length / 2);
      const held = new Set<ServerResponse>();
      let isHeld = true;
      const server = createServer((_request, response) => {
        response.writeHead(200, { "Content-Length": image.length });
        if (isHeld) {
          response.write(image.subarray(0, half));
          held.add(response);
        } else {
          response.end(image);
        }
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const folder = await mkdtemp(join(tmpdir(), "sl-catalog-"));
      await chmod(folder, 0o755); // the lab's user reads it
      const catalog = join(folder, "catalog.yaml");
      const entry = {
        id: "pulled",
        name: "Pulled Linux",
        version: "1",
        osType: "linux",
        arch: "x86_64",
        format: "qcow2",
        minDiskBytes: 536870912,
        minRamMiB: 128,
        description: "The small Linux, from a mirror.",
        url: `http://127.0.0.1:${port}/pulled.qcow2`,
        checksum: createHash("sha256").update(image).digest("hex"),
      };
      await writeFile(catalog, JSON.stringify([entry])); // JSON is YAML
      const letGo = () => {
        isHeld = false;
        for (const response of held) {
          response.end(image.subarray(half));
        }
      };
      await use({ catalog, letGo });
      server.close();
      server.closeAllConnections();
      await rm(folder, { recursive: true });
    },
    { scope: "worker" },
  ],
  options: [
    async ({ mirror }, use) => use({ SANDBOXLABS_CATALOG: mirror.catalog, SANDBOXLABS_PULL_ALLOW_PRIVATE: "true" }),
    { scope: "worker" },
  ],
});

test("an image of the catalogue is pulled with live progress, and the pull can be cancelled", async ({
  signedIn: page,
  mirror,
}) => {
  const entry = page.locator("[data-catalog=pulled]");
  await page.goto("/images/catalog");
  await test.step("it is pulled, and cancelled", async () => {
    await entry.getByRole("button", { name: "Pull Pulled Linux", exact: true }).click();
    await expect(entry.getByRole("progressbar")).toBeVisible();
    await expect(entry).toContainText(/Downloading, [\d.]+ MiB of [\d.]+ MiB/i);
    await page.reload(); // the job belongs to the service, not to the page
    await entry.getByRole("button", { name: "Cancel: Pull Pulled Linux" }).click();
    await expect(entry.getByRole("button", { name: "Pull Pulled Linux", exact: true })).toBeVisible({
      timeout: 30_000,
    });
  });
  await test.step("it is pulled again, and used", async () => {
    mirror.letGo();
    await entry.getByRole("button", { name: "Pull Pulled Linux", exact: true }).click();
    await expect(entry.locator("[data-state=ready]")).toBeVisible({ timeout: 60_000 });
    await entry.getByRole("link", { name: "Create node from Pulled Linux" }).click();
    await expect(page).toHaveURL(/\/nodes\/new\?image=pulled/);
  });
  await test.step("both jobs are listed", async () => {
    await page.goto("/admin/jobs");
    await expect(page.locator("[data-job-state=cancelled]")).toHaveCount(1);
    await expect(page.locator("[data-job-state=succeeded]")).toHaveCount(1);
  });
});

import { writeFile } from "node:fs/promises";

import type { Page } from "@playwright/test";

import { deleteNode, expect, makeNode, terminal, test } from "./fixtures";

/** Returns the number of lit pixels on the screen, and a checksum of them. */
function look(page: Page): Promise<{ lit: number; sum: number; width: number; height: number }> {
  return page.locator(".sl-screen__view canvas").evaluate((element) => {
    const canvas = element as HTMLCanvasElement;
    const { width, height } = canvas;
    const bytes = canvas.getContext("2d")?.getImageData(0, 0, width, height).data ?? new Uint8ClampedArray();
    let [lit, sum] = [0, 0];
    for (let at = 0; at < bytes.length; at += 4) {
      const [red = 0, green = 0, blue = 0] = bytes.subarray(at, at + 3);
      if (red + green + blue > 0) {
        lit++;
        sum = (sum * 31 + at + red + green + blue) % 2 ** 31;
      }
    }
    return { lit, sum, width, height };
  });
}

function status(page: Page, link: string) {
  return expect(page.locator(`[data-screen="${link}"]`)).toBeVisible({ timeout: 30_000 });
}

/** Waits until the guest shows its login prompt on the console, and so on the screen. */
async function booted(page: Page): Promise<void> {
  await page.getByRole("link", { name: "Console" }).click();
  await expect(terminal(page)).toContainText("login:", { timeout: 120_000 });
}

/** Waits until the screen is the same twice in a row, except for a blinking cursor. */
async function settle(page: Page): Promise<number> {
  let last = -1;
  await expect
    .poll(
      async () => {
        const { lit } = await look(page);
        const same = lit > 2_000 && Math.abs(lit - last) < 150;
        last = lit;
        return same;
      },
      { timeout: 120_000, intervals: [3_000] },
    )
    .toBe(true);
  return last;
}

test("a screen shows the guest, accepts keys, and reconnects after stop and start", async ({ signedIn: page, lab }) => {
  const node = await makeNode(page, "screen-1");
  await page.goto(`/nodes/${node.id}`);
  await page.getByRole("link", { name: "Screen" }).click();
  await status(page, "off");
  await page.locator(".sl-console__notice").getByRole("button", { name: "Start screen-1" }).click();
  await status(page, "open");

  // The first connection shows the boot; the second one starts with the current contents.
  await booted(page);
  await page.getByRole("link", { name: "Screen" }).click();
  await status(page, "open");
  const canvas = page.getByRole("application", { name: "Screen of screen-1" });
  const prompt = await settle(page);
  const seen = await canvas.screenshot();
  await canvas.click();
  await page.keyboard.type("root\n");
  await expect.poll(async () => (await look(page)).lit, { timeout: 60_000 }).toBeGreaterThan(prompt + 200);
  const before = await settle(page);
  await page.keyboard.type("echo screens work\n");
  await expect.poll(async () => (await look(page)).lit, { timeout: 30_000 }).toBeGreaterThan(before + 400);
  const shown = await settle(page);
  // The thumbnail shows the screen's new contents.
  expect(seen.equals(await canvas.screenshot())).toBe(false);

  // View-only mode sends nothing.
  await page.getByRole("button", { name: "View only" }).click();
  await canvas.click();
  await page.keyboard.type("text that is long enough to be seen");
  expect(Math.abs((await settle(page)) - shown)).toBeLessThan(150);
  await page.getByRole("button", { name: "View only" }).click();

  // Pasted text is typed, including capitals: the guest's serial console shows it.
  await page.getByRole("button", { name: "Paste" }).click();
  await page.getByRole("textbox", { name: "Text to paste" }).fill(`echo "Pasted: A_b~C|{d}" > /dev/ttyS0\n`);
  await page.getByRole("button", { name: "Type it" }).click();
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.getByRole("link", { name: "Console" }).click();
  await expect(terminal(page)).toContainText("Pasted: A_b~C|{d}");
  await page.getByRole("link", { name: "Screen" }).click();
  await status(page, "open");

  // Leave the screen by keyboard.
  await canvas.focus();
  await page.keyboard.press("Control+Shift+ArrowUp");
  await expect(page.getByRole("button", { name: "Ctrl+Alt+Del" })).toBeFocused();

  await lab.virsh("destroy", node.id);
  await status(page, "off");
  await lab.virsh("start", node.id);
  await status(page, "open");
  await expect.poll(async () => (await look(page)).lit, { timeout: 60_000 }).toBeGreaterThan(1_000);

  await lab.stopService();
  await status(page, "reconnecting");
  await lab.serve();
  await status(page, "open");

  await deleteNode(page, node);
  await expect(page.getByText("Node not found")).toBeVisible();
});

test("a phone has the keys that on-screen keyboards don't have", async ({ signedIn: page }) => {
  const node = await makeNode(page, "screen-2", { run: true });
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto(`/nodes/${node.id}/screen`);
  await status(page, "open");
  await booted(page);
  await page.getByRole("link", { name: "Screen" }).click();
  await status(page, "open");
  await settle(page);
  await page.getByRole("button", { name: "On-screen keyboard" }).click();
  await page.keyboard.type("roox");
  await page.keyboard.press("Backspace");
  await page.keyboard.type("t\n");
  await settle(page);
  // With Control held, j becomes a line break.
  await page.keyboard.type("echo Phone > /dev/ttyS0");
  await page.getByRole("button", { name: "Hold Control" }).click();
  await page.keyboard.type("j");
  await page.getByRole("button", { name: "Hold Control" }).click();
  await page.getByRole("link", { name: "Console" }).click();
  await expect(terminal(page)).toContainText("Phone");
  await page.getByRole("link", { name: "Screen" }).click();
  await status(page, "open");
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow).toBeLessThanOrEqual(0);
  await deleteNode(page, node);
});

test("a SPICE screen says why it can't be shown", async ({ signedIn: page, lab }, info) => {
  const node = await makeNode(page, "screen-3");
  const xml = await lab.virsh("dumpxml", "--inactive", node.id);
  const file = info.outputPath("spice.xml");
  await writeFile(
    file,
    xml.replace(
      /<graphics type='vnc'[\s\S]*?<\/graphics>/,
      "<graphics type='spice' autoport='yes' listen='127.0.0.1'/>",
    ),
  );
  await lab.define(file);
  await page.request.post(`/api/nodes/${node.id}/run`);
  await page.goto(`/nodes/${node.id}/screen`);
  await status(page, "refused");
  await expect(page.getByText("is SPICE; VNC is shown here")).toBeVisible();
  await deleteNode(page, node);
});

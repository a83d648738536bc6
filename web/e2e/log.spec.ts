import { readFile, writeFile } from "node:fs/promises";

import { deleteNode, expect, logIn, makeNode, terminal, test } from "./fixtures";

test("the console's log is read, searched and downloaded, also while the node is stopped", async ({
  signedIn: page,
}) => {
  const node = await makeNode(page, "log-1", { run: true });
  try {
    await page.goto(`/nodes/${node.id}/console`);
    await logIn(page);
    // More than one part of the log, with numbered lines.
    await page.keyboard.type(
      "seq -w 1 5000 | sed 's/.*/line & of the flood, to be found again by its number/'; echo flood-$((40+2))\n",
    );
    await expect(terminal(page)).toContainText("flood-42", { timeout: 120_000 });
    expect((await page.request.post(`/api/nodes/${node.id}/stop`, { data: { force: true } })).status()).toBe(200);

    await page.getByRole("link", { name: "Log" }).click();
    const log = page.getByRole("region", { name: "Log of log-1" });
    await expect(log).toContainText("flood-42");
    await expect(log).not.toContainText("line 0001 of");
    const older = log.getByRole("button", { name: /^Show older/ });
    await test.step("older parts are added above, and the scroll position is kept", async () => {
      await older.click();
      await expect(log).toContainText("line 1000 of");
      expect(await log.evaluate((box) => box.scrollTop)).toBeGreaterThan(0);
      while (await older.isVisible()) {
        await older.click();
        await expect(older.and(log.locator("[disabled]"))).toHaveCount(0);
      }
      await expect(log).toContainText("Start of log");
      // QEMU logs a byte more than once when the console is read more slowly than the guest prints.
      const once = (text: string) => text.replace(/(.)\1+/g, "$1");
      const lines = [...once((await log.textContent()) ?? "").matchAll(/line (\d+) of the flod/g)].map(
        ([, number]) => number,
      );
      expect(lines).toEqual(Array.from({ length: 5000 }, (_, index) => once(String(index + 1).padStart(4, "0"))));
    });

    await test.step("a line is found and shown in its context", async () => {
      await page.getByRole("textbox", { name: "Search the log" }).fill("LINE 0777 OF");
      await page.keyboard.press("Enter");
      const found = page.getByRole("region", { name: "Matching lines" });
      await expect(found.getByRole("status")).toHaveText("1 line with “LINE 0777 OF”");
      await found.getByRole("button", { name: /line 0777/ }).click();
      await expect(log.locator("mark")).toHaveText(/line 0777 of the flood/);
      await expect(log.locator("mark")).toBeInViewport();
      await expect(log).toContainText("line 0776 of");
      await page.getByRole("button", { name: "Close search" }).click();
      await page.getByRole("button", { name: "Jump to end" }).click();
      await expect(log).toContainText("flood-42");
    });

    await test.step("the whole log is downloaded", async () => {
      const pending = page.waitForEvent("download");
      await page.getByRole("link", { name: "Download log" }).click();
      const download = await pending;
      expect(download.suggestedFilename()).toBe("log-1-console.log");
      expect(await readFile(await download.path(), "utf8")).toMatch(/login:[^]*line 0001 of[^]*line 5000 of/);
    });
  } finally {
    await deleteNode(page, node);
  }
});

test("one of several serial ports is selected", async ({ signedIn: page, lab }, info) => {
  const node = await makeNode(page, "ports-1");
  try {
    const file = info.outputPath("serial.xml");
    await writeFile(file, "<serial type='pty'><target port='1'/></serial>");
    await lab.attach("ports-1", file);
    expect((await page.request.post(`/api/nodes/${node.id}/run`)).status()).toBe(200);
    await page.goto(`/nodes/${node.id}/console`);
    await logIn(page);
    await page.keyboard.type("cat /dev/ttyS1\n");
    const port = page.getByRole("combobox", { name: "Serial port" });
    await port.selectOption("serial1");
    await expect(page).toHaveURL(/\?port=serial1$/);
    await expect(page.locator("[data-console]")).toHaveAttribute("data-console", "connected");
    await expect(terminal(page)).not.toContainText("login:");
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("by the second port\n");
    await expect(terminal(page)).toContainText("by the second port"); // as the guest echoes it
    await page.getByRole("link", { name: "Log" }).click();
    await expect(page.getByRole("heading", { name: "No log for this port" })).toBeVisible();
    await port.selectOption("serial0");
    await expect(page.getByRole("region", { name: "Log of ports-1" })).toContainText("login:");
    await page.getByRole("link", { name: "Console" }).click();
    await expect(terminal(page)).toContainText("by the second port");
  } finally {
    await deleteNode(page, node);
  }
});

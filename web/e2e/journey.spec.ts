import { copyFile, writeFile } from "node:fs/promises";

import { expect, logIn, terminal, test } from "./fixtures";
import { microImage } from "./lab";

test("from a fresh installation to a running node, and back", async ({ page, lab }, info) => {
  await test.step("sign in", async () => {
    await page.goto("/images");
    await expect(page).toHaveURL(/\/login\?next=%2Fimages$/);
    await page.getByLabel("User name").fill(lab.user);
    await page.getByLabel("Password").fill("not the password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page.getByText("Sign-in failed")).toBeVisible();
    await page.getByLabel("Password").fill(lab.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await expect(page).toHaveURL(/\/images$/);
  });

  await test.step("an empty installation leads to the first console in two clicks", async () => {
    await page.goto("/");
    await expect(page.getByRole("heading", { name: /^Create your first node from / })).toBeVisible();
    await page.getByRole("button", { name: /^Create a node from / }).click();
    await page.getByRole("button", { name: "Create and open console" }).click();
    await expect(page).toHaveURL(/\/nodes\/[0-9a-f-]{36}\/console$/);
    await expect(page.getByRole("heading", { level: 1, name: "micro-1" })).toBeVisible();
  });

  const nodeURL = page.url();
  const state = page.locator("[data-state]");

  await test.step("the console works", async () => {
    await logIn(page);
    await page.keyboard.type("echo $((6*7))\n");
    await expect(terminal(page)).toContainText(/\n?42/);
    await page.keyboard.type("printf '\\342\\202\\254uro\\n'\n");
    await expect(terminal(page)).toContainText("€uro");
  });

  await test.step("a stop by ACPI is seen as it happens", async () => {
    await page.getByRole("button", { name: "Stop micro-1" }).click();
    await expect(state).toHaveAttribute("data-state", "stopped", { timeout: 60_000 });
    await expect(page.locator("[data-console]")).toHaveAttribute("data-console", "offline");
  });

  await test.step("a node that virsh starts is shown as running", async () => {
    await lab.virsh("start", "micro-1");
    await expect(state).toHaveAttribute("data-state", "running");
    await expect(page.locator("[data-console]")).toHaveAttribute("data-console", "connected");
    await expect(terminal(page)).toContainText("login:", { timeout: 120_000 });
  });

  await test.step("an image is uploaded with progress", async () => {
    const file = info.outputPath("My disk.qcow2");
    await copyFile(microImage, file);
    await page.goto("/images");
    const network = await page.context().newCDPSession(page);
    const conditions = { offline: false, latency: 0, downloadThroughput: -1 };
    await network.send("Network.emulateNetworkConditions", { ...conditions, uploadThroughput: 4 * 1024 * 1024 });
    await page.getByLabel("Disk images to upload").setInputFiles(file);
    await expect(page.getByRole("progressbar", { name: "My disk.qcow2" })).toBeVisible();
    await expect(page.getByText(/MiB of .* MiB, .*\/s, \d+ s left/)).toBeVisible();
    await expect(page.getByText("Ready to use")).toBeVisible({ timeout: 60_000 });
    await network.send("Network.emulateNetworkConditions", { ...conditions, uploadThroughput: -1 });
    const row = page.locator("[data-image='My disk']");
    await expect(row.locator("[data-state=ready]")).toBeVisible();
  });

  await test.step("a file that is not an image is rejected with a reason", async () => {
    const file = info.outputPath("notes.qcow2");
    await writeFile(file, "These are notes, not a disk.\n".repeat(100));
    await page.getByLabel("Disk images to upload").setInputFiles(file);
    await expect(page.getByText("Couldn't upload notes.qcow2")).toBeVisible();
  });

  await test.step("an image in use is not deleted, and the reason is shown", async () => {
    await page.getByRole("button", { name: "Actions for Micro" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("textbox").fill("Micro");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect(dialog.getByText("micro-1")).toBeVisible();
    await dialog.getByRole("button", { name: "Cancel" }).click();
  });

  await test.step("the node is deleted once its name is typed", async () => {
    await page.goto(nodeURL.replace(/\/console$/, ""));
    await page.getByRole("button", { name: "Actions for micro-1" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    const confirm = dialog.getByRole("button", { name: "Delete" });
    await expect(confirm).toBeDisabled();
    await dialog.getByRole("textbox").fill("micro-11");
    await expect(confirm).toBeDisabled();
    await dialog.getByRole("textbox").fill("micro-1");
    await confirm.click();
    await expect(page).toHaveURL(/\/nodes$/);
    await expect(page.getByRole("heading", { name: /^Create your first node from / })).toBeVisible();
    await expect(page.getByText("Deleted micro-1")).toBeVisible();
    expect(await lab.virsh("list", "--all", "--name")).toBe("");
  });

  await test.step("sign out", async () => {
    await page.getByRole("button", { name: /^Account of/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await expect(page).toHaveURL(/\/login/);
  });
});

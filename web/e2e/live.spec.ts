import { writeFile } from "node:fs/promises";

import { deleteNode, expect, makeNode, test } from "./fixtures";

test("nodes that virsh defines, renames and undefines are updated within a second", async ({
  signedIn: page,
  lab,
}, info) => {
  await page.goto("/nodes");
  await expect(page.getByRole("heading", { level: 1, name: "Nodes" })).toBeVisible();
  const file = info.outputPath("elsewhere.xml");
  await writeFile(
    file,
    `<domain type="qemu"><name>elsewhere</name><memory unit="MiB">64</memory><vcpu>1</vcpu>
     <os><type arch="x86_64">hvm</type></os></domain>`,
  );
  await lab.define(file);
  const row = page.locator("[data-node=elsewhere]");
  await expect(row.getByText("unmanaged")).toBeVisible();

  await page.getByRole("button", { name: "Actions for elsewhere" }).click();
  await expect(page.getByRole("menuitem", { name: /^Delete/ })).toHaveCount(0);
  await page.getByRole("menuitem", { name: "Adopt" }).click();
  await expect(row.getByText("unmanaged")).toHaveCount(0);

  await lab.virsh("domrename", "elsewhere", "renamed");
  await expect(page.locator("[data-node=renamed]")).toBeVisible();
  await lab.virsh("undefine", "renamed");
  await expect(page.locator("[data-node=renamed]")).toHaveCount(0);
});

test("search and state are in the URL", async ({ signedIn: page, lab }) => {
  const nodes = [
    await makeNode(page, "web-1"),
    await makeNode(page, "web-2", { run: true }),
    await makeNode(page, "db-1"),
  ];
  try {
    await page.goto("/nodes");
    await page.getByRole("textbox", { name: "Search nodes" }).fill("web");
    await expect(page.locator("[data-node]")).toHaveCount(2);
    await page.getByRole("button", { name: "Running 1" }).click();
    await expect(page.locator("[data-node]")).toHaveCount(1);
    await expect(page).toHaveURL(/\?q=web&state=running$/);
    await page.reload();
    await expect(page.locator("[data-node=web-2]")).toBeVisible();
    await lab.virsh("destroy", "web-2");
    await expect(page.getByText("No matching nodes")).toBeVisible();
    await page.getByRole("button", { name: "Clear filters" }).click();
    await expect(page.locator("[data-node]")).toHaveCount(3);
  } finally {
    for (const node of nodes) {
      await deleteNode(page, node);
    }
  }
});

test("a node is renamed, paused, resumed, reset, wiped and forced off", async ({ signedIn: page, lab }) => {
  const node = await makeNode(page, "life-1");
  const act = async (name: string, node = "life-2") => {
    await page.getByRole("button", { name: `Actions for ${node}` }).click();
    await page.getByRole("menuitem", { name }).click();
  };
  const dialog = page.getByRole("dialog");
  const state = page.locator("[data-state]");
  try {
    await page.goto(`/nodes/${node.id}`);
    await act("Rename", "life-1");
    await dialog.getByRole("textbox", { name: "Name" }).fill("life-2");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1, name: "life-2" })).toBeVisible();
    await expect(dialog).toHaveCount(0); // the new name is shown before that
    expect(await lab.virsh("domname", node.id)).toBe("life-2");

    await page.getByRole("button", { name: "Start life-2" }).click();
    await expect(state).toHaveAttribute("data-state", "running");
    await act("Pause");
    await expect(state).toHaveAttribute("data-state", "paused");
    await act("Resume");
    await expect(state).toHaveAttribute("data-state", "running");
    await act("Reset");
    await dialog.getByRole("button", { name: "Reset" }).click();
    await expect(dialog).toHaveCount(0);
    await act("Force off");
    await dialog.getByRole("button", { name: "Force off" }).click();
    await expect(state).toHaveAttribute("data-state", "stopped");
    await act("Wipe");
    await dialog.getByRole("textbox").fill("life-2");
    await dialog.getByRole("button", { name: "Wipe" }).click();
    await expect(page.getByText("life-2 was wiped")).toBeVisible();
  } finally {
    await deleteNode(page, node);
  }
});

test("a page says when its node was deleted by another tool", async ({ signedIn: page }) => {
  const node = await makeNode(page, "gone-1");
  await page.goto(`/nodes/${node.id}`);
  await expect(page.getByRole("heading", { name: "gone-1" })).toBeVisible();
  await deleteNode(page, node);
  await expect(page.getByRole("heading", { name: "Node not found" })).toBeVisible();
});

test("the page says when the service is unavailable, and is up to date once it is back", async ({
  signedIn: page,
  lab,
}) => {
  const node = await makeNode(page, "away-1");
  await page.goto("/nodes");
  await expect(page.locator("[data-node=away-1]")).toBeVisible();
  await lab.stopService();
  await expect(page.getByText("Data may be out of date")).toBeVisible();
  await lab.virsh("start", "away-1");
  await lab.serve();
  await expect(page.locator("[data-node=away-1] [data-state=running]")).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText("Data may be out of date")).toHaveCount(0);
  await deleteNode(page, node);
});

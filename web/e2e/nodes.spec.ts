import { rename } from "node:fs/promises";

import { violations } from "./axe";
import { deleteNode, expect, logIn, makeNode, terminal, test } from "./fixtures";

test("several nodes are started, forced off and deleted at once", async ({ signedIn: page, lab }) => {
  await makeNode(page, "bulk-1");
  await makeNode(page, "bulk-2");
  const kept = await makeNode(page, "kept-1");
  try {
    expect((await page.request.patch(`/api/nodes/${kept.id}`, { data: { tags: ["kept"] } })).status()).toBe(200);
    await page.goto("/nodes?q=bulk");
    await page.getByRole("checkbox", { name: "Select all" }).click();
    const bar = page.getByRole("toolbar", { name: "Selected nodes" });
    await expect(bar).toContainText("2 selected");
    await bar.getByRole("button", { name: "Start 2 nodes" }).click();
    await expect(page.locator("[data-node] [data-state=running]")).toHaveCount(2);
    // Their usage is shown as soon as it is measured.
    await expect(page.locator("[data-node=bulk-1] [data-use=cpu]")).toBeVisible({ timeout: 30_000 });

    await page.getByRole("checkbox", { name: "Select all" }).click();
    await bar.getByRole("button", { name: "Force off 2 nodes" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Force off 2 nodes" }).click();
    await expect(page.locator("[data-node] [data-state=stopped]")).toHaveCount(2);

    await page.getByRole("checkbox", { name: "Select bulk-1" }).click();
    await page.getByRole("checkbox", { name: "Select bulk-2" }).click();
    await bar.getByRole("button", { name: "Delete 2 nodes" }).click();
    await expect(dialog).toContainText("bulk-2");
    await expect(dialog.getByRole("button", { name: "Delete 2 nodes" })).toBeDisabled();
    await dialog.getByRole("textbox").fill("2 nodes");
    await dialog.getByRole("button", { name: "Delete 2 nodes" }).click();
    await expect(page.getByText("No matching nodes")).toBeVisible(); // at once
    await expect(page.getByText("Deleted 2 nodes")).toBeVisible();
    expect(await lab.virsh("list", "--all", "--name")).toBe("kept-1");

    await page.getByRole("button", { name: "Clear filters" }).click();
    await page.getByRole("button", { name: "Tag", exact: true }).click();
    await page.getByRole("option", { name: /^kept/ }).click();
    await expect(page).toHaveURL(/\?tag=kept$/);
    await page.getByRole("button", { name: "Cards" }).click();
    await expect(page).toHaveURL(/\?tag=kept&view=cards$/);
    await expect(page.locator("[data-node=kept-1]")).toBeVisible();
  } finally {
    await deleteNode(page, kept);
  }
});

/** A minimal ISO image. */
function isoFile(): Buffer {
  const file = Buffer.alloc(20 * 2048);
  file.write("\u0001CD001\u0001", 16 * 2048, "latin1");
  file.writeUInt32LE(20, 16 * 2048 + 80); // blocks
  file.writeUInt16LE(2048, 16 * 2048 + 128);
  file.write("\u00ffCD001\u0001", 17 * 2048, "latin1");
  return file;
}

test("node actions are applied optimistically, and undone when they fail", async ({ signedIn: page, lab }) => {
  const node = await makeNode(page, "hasty-1");
  const limit = async (quota: object) =>
    expect((await page.request.patch(`/api/users/${lab.user}`, { data: { quota } })).status()).toBe(200);
  // Requests are held back here until the optimistic update was checked.
  const hold = async (path: string) => {
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    await page.route(path, async (route) => {
      await released;
      await route.continue();
    });
    return release;
  };
  try {
    await page.goto("/nodes?q=hasty");
    const row = page.locator("[data-node=hasty-1]");
    await limit({ running: 0 });
    const runs = await hold("**/run");
    await row.getByRole("button", { name: "Start hasty-1" }).click();
    await expect(row.locator("[data-state=starting]")).toBeVisible();
    runs();
    await expect(page.getByText("Couldn't start hasty-1")).toBeVisible();
    await expect(row.locator("[data-state=stopped]")).toBeVisible();

    const goes = await hold(`**/api/nodes/${node.id}?snapshots=false`);
    await row.getByRole("button", { name: "Actions for hasty-1" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await page.getByRole("dialog").getByRole("textbox").fill("hasty-1");
    await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await expect(row).toHaveCount(0);
    await lab.virsh("snapshot-create-as", "hasty-1", "kept"); // the confirmation did not mention it
    goes();
    await expect(page.getByText("Couldn't delete hasty-1")).toBeVisible();
    await expect(row).toBeVisible();
  } finally {
    await limit({});
    await page.request.delete(`/api/nodes/${node.id}?snapshots=true`);
  }
});

test("a node is edited, and its disks, interfaces and snapshots are added and removed", async ({
  signedIn: page,
  lab,
}) => {
  const node = await makeNode(page, "parts-1");
  const views = page.getByRole("navigation", { name: "Node views" });
  const dialog = page.getByRole("dialog");
  try {
    await page.goto(`/nodes/${node.id}`);
    await page.getByRole("button", { name: "Actions for parts-1" }).click();
    await page.getByRole("menuitem", { name: /^Edit/ }).click();
    await dialog.getByRole("spinbutton", { name: "RAM" }).fill("128");
    await dialog.getByRole("textbox", { name: "Tags" }).fill("web, course");
    await dialog.getByRole("textbox", { name: "Description" }).fill("The front of the course.");
    await dialog.getByRole("button", { name: "Save" }).click();
    await expect(dialog).toHaveCount(0);
    await expect(page.getByText("128 MiB")).toBeVisible();
    await expect(page.getByText("The front of the course.")).toBeVisible();
    expect(await lab.virsh("desc", node.id)).toBe("The front of the course.");

    await views.getByRole("link", { name: "Disks" }).click();
    await page.getByRole("button", { name: "Add disk" }).click();
    await dialog.getByRole("button", { name: "Add disk" }).click();
    await expect(page.locator("[data-disk=vdb]")).toContainText("1 GiB");
    // Changes by virsh are shown automatically.
    await lab.virsh("detach-disk", node.id, "vdb", "--config");
    await expect(page.locator("[data-disk=vdb]")).toHaveCount(0);

    const media = { image: { name: "rescue.iso", mimeType: "application/octet-stream", buffer: isoFile() } };
    expect((await page.request.post("/api/images/custom", { multipart: media })).status()).toBe(201);
    await page.getByRole("button", { name: "Insert" }).click();
    await expect(page.getByText("Inserted: rescue")).toBeVisible();
    expect(await lab.virsh("domblklist", node.id)).toContain(".iso");
    await page.getByRole("button", { name: "Eject" }).click();
    await expect(page.getByText("Empty", { exact: true })).toBeVisible();
    expect(await lab.virsh("domblklist", node.id)).not.toContain(".iso");

    await views.getByRole("link", { name: "Snapshots" }).click();
    const take = async (name: string) => {
      await page.getByRole("button", { name: "Take snapshot" }).click();
      await dialog.getByRole("textbox", { name: "Name" }).fill(name);
      await dialog.getByRole("button", { name: "Take snapshot" }).click();
      await expect(page.locator(`[data-snapshot=${name}]`)).toBeVisible();
    };
    await take("first");
    await take("second");
    await expect(page.locator("[data-snapshot=first] [data-snapshot=second]")).toBeVisible(); // a tree
    await page.getByRole("button", { name: "Revert to first" }).click();
    await expect(dialog.getByRole("button", { name: "Revert" })).toBeDisabled();
    await dialog.getByRole("textbox").fill("first");
    await dialog.getByRole("button", { name: "Revert" }).click();
    await expect(page.getByText("Reverted to first")).toBeVisible();
    expect(await lab.virsh("snapshot-current", node.id, "--name")).toBe("first");
    await lab.virsh("snapshot-delete", node.id, "second");
    await expect(page.locator("[data-snapshot=second]")).toHaveCount(0);
    await page.getByRole("button", { name: "Delete first" }).click();
    await dialog.getByRole("textbox").fill("first");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect(page.getByText("No snapshots yet")).toBeVisible();

    await views.getByRole("link", { name: "Networks" }).click();
    await page.getByRole("button", { name: /^Disconnect from/ }).click();
    await dialog.getByRole("button", { name: "Disconnect" }).click();
    await expect(page.getByText("No network interfaces")).toBeVisible();

    await views.getByRole("link", { name: "Events" }).click();
    await expect(page.locator("td").getByText("Take snapshot")).toHaveCount(2);

    // Jobs that its dialogs start: a full clone and an image.
    const actions = page.getByRole("button", { name: "Actions for parts-1" });
    await actions.click();
    await page.getByRole("menuitem", { name: "Clone" }).click();
    await dialog.getByRole("textbox", { name: "Name" }).fill("parts-copy");
    await dialog.getByLabel("Full copy").check();
    await dialog.getByRole("button", { name: "Clone" }).click();
    await expect(page.getByText("Creating parts-copy…")).toBeVisible();
    await expect(async () => expect(await lab.virsh("list", "--all", "--name")).toContain("parts-copy")).toPass({
      timeout: 60_000,
    });
    await actions.click();
    await page.getByRole("menuitem", { name: "Create image" }).click();
    await dialog.getByRole("textbox", { name: "Image name" }).fill("Image of parts");
    await dialog.getByRole("button", { name: "Create image" }).click();
    await expect(page.getByText("Creating image Image of parts…")).toBeVisible();
    await page.goto("/images?q=parts");
    await expect(page.locator("[data-image='Image of parts'] [data-state=ready]")).toBeVisible({ timeout: 60_000 });
  } finally {
    const { nodes } = (await (await page.request.get("/api/nodes")).json()) as { nodes: { id: string }[] };
    for (const { id } of nodes) {
      await page.request.delete(`/api/nodes/${id}?snapshots=true`);
    }
  }
});

test("the XML is edited, and its errors are shown", async ({ signedIn: page, lab }) => {
  const node = await makeNode(page, "xml-1");
  try {
    await page.goto(`/nodes/${node.id}/xml`);
    const editor = page.getByRole("textbox", { name: "Domain XML" });
    await expect(editor).toContainText(node.id);
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    const change = async (from: string, to: string) => {
      // A search puts the cursor where the text is; typing replaces it.
      await editor.press("Control+f");
      await page.locator(".cm-search input[name=search]").pressSequentially(from);
      await page.keyboard.press("Enter");
      await page.keyboard.press("Escape");
      await page.keyboard.insertText(to); // as if pasted: the editor closes typed elements automatically
    };
    await change("</name>", "</nam>");
    await expect(page.getByText(/^Line \d+: /)).toBeVisible();
    await expect(page.getByRole("button", { name: "Save", exact: true })).toBeDisabled();
    await page.getByRole("button", { name: "Discard changes" }).click();

    // The user does not have to wait until the definition has been reloaded.
    let release!: () => void;
    const typed = new Promise<void>((resolve) => {
      release = resolve;
    });
    await page.route("**/xml?inactive=true", async (route) => {
      await typed;
      await route.continue();
    });
    const read = page.waitForResponse("**/xml?inactive=true");
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await change("</devices>", "<!-- the last --></devices>");
    await change("<acpi/>", "<acpi/><pae/>");
    release();
    await read;
    await page.unroute("**/xml?inactive=true");
    await expect(editor).toContainText("<acpi/><pae/>");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await expect(page.getByText("Saved")).toBeVisible();
    expect(await lab.virsh("dumpxml", node.id)).toContain("<pae/>");

    // For a running node, the definition for the next start is edited, and other changes to it are not lost.
    await page.request.post(`/api/nodes/${node.id}/run`);
    await lab.virsh("desc", node.id, "--config", "--title", "for the next start");
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await expect(editor).toContainText("<title>for the next start</title>");
    await lab.virsh("desc", node.id, "--config", "--title", "by another user");
    await change("<pae/>", "");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await expect(page.getByText("was changed meanwhile")).toBeVisible();
    await page.getByRole("button", { name: "Discard changes" }).click();
    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await expect(editor).toContainText("<title>by another user</title>");
    await change("<pae/>", "");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await expect(page.getByText("Saved. Takes effect at next start.")).toBeVisible();
    const next = await lab.virsh("dumpxml", "--inactive", node.id);
    expect(next).toContain("by another user");
    expect(next).not.toContain("<pae/>");
  } finally {
    await deleteNode(page, node);
  }
});

test("a console is searched, made read-only, and opened in a new window", async ({ signedIn: page }) => {
  const node = await makeNode(page, "window-1", { run: true });
  try {
    await page.goto(`/nodes/${node.id}/both`);
    await logIn(page);
    const console = page.getByRole("toolbar", { name: "Console" });
    await expect(page.locator("[data-screen=open]")).toBeVisible();

    await page.keyboard.press("Control+Shift+f");
    const search = page.getByRole("textbox", { name: "Search the console" });
    await search.fill("log in as root");
    await expect(page.getByText("Not found")).toHaveCount(0);
    await search.fill("never printed");
    await expect(page.getByText("Not found")).toBeVisible();
    await page.keyboard.press("Escape");

    await console.getByRole("button", { name: "Read only" }).click();
    await expect(page.locator("[data-console=connected]")).toBeVisible();
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("echo not-$((1+1))\n");
    const opened = page.waitForEvent("popup");
    await console.getByRole("button", { name: "Open in new window" }).click();
    const popup = await opened;
    await expect(popup.locator("[data-console=connected]")).toBeVisible();
    await expect(popup.getByRole("banner")).toHaveCount(0);
    await popup.locator(".xterm-helper-textarea").focus();
    await popup.keyboard.type("echo own-$((40+2))\n");
    await expect(terminal(popup)).toContainText("own-42");
    await expect(terminal(page)).toContainText("own-42");
    await expect(terminal(page)).not.toContainText("not-");
    await popup.close();
  } finally {
    await deleteNode(page, node);
  }
});

test("a node is created with Secure Boot and a TPM", async ({ signedIn: page, lab }) => {
  const offers = await lab.virsh("domcapabilities", "--machine", "q35", "--virttype", "qemu", "--arch", "x86_64");
  test.skip(!offers.includes("<value>efi</value>"), "the host has no UEFI firmware; run `make setup`");
  await page.goto("/nodes/new?image=micro");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("secure-1");
  await page.getByLabel("Firmware").selectOption("UEFI with Secure Boot");
  await page.getByLabel("TPM 2.0").selectOption("Yes");
  await page.getByRole("button", { name: "Create", exact: true }).click();
  await expect(page.getByText("UEFI with Secure Boot, TPM")).toBeVisible();
  const id = new URL(page.url()).pathname.split("/").at(-1) ?? "";
  await deleteNode(page, { id });
});

test("a node whose disk is missing shows the problem before it is started", async ({ signedIn: page, lab }) => {
  const node = await makeNode(page, "lacking-1");
  const { overlayPath } = (await (await page.request.get(`/api/nodes/${node.id}`)).json()) as { overlayPath: string };
  await rename(overlayPath, `${overlayPath}.away`);
  try {
    await lab.virsh("desc", node.id, "--config", "an event for the node");
    await page.goto("/nodes?q=lacking");
    await expect(page.locator("[data-problem]")).toBeVisible({ timeout: 20_000 });
    await page.goto(`/nodes/${node.id}`);
    await expect(page.getByText("is missing or cannot be read").first()).toBeVisible();
    expect(await violations(page)).toEqual([]);
  } finally {
    await rename(`${overlayPath}.away`, overlayPath);
    await deleteNode(page, node);
  }
});

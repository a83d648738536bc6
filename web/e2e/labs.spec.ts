import { readFile } from "node:fs/promises";

import type { Page } from "@playwright/test";

import { expect, logIn, makeNode, terminal, test } from "./fixtures";
import { until } from "./lab";

test.use({ networks: true });
test.skip(process.getuid?.() !== 0, "networks require a libvirtd in separate namespaces, which requires root");

interface LabBody {
  id: string;
  nodes: { id: string; x: number; y: number }[];
  networks: { id: string; name: string; subnet: string; nodes: string[] }[];
}

async function labBody(page: Page, id: string): Promise<LabBody> {
  return (await (await page.request.get(`/api/labs/${id}`)).json()) as LabBody;
}

/** Waits until a node has an address on the lab's first network, and returns it. */
async function awaitAddress(page: Page, name: string, id: string): Promise<string> {
  const { networks } = await labBody(page, id);
  const prefix = (networks[0]?.subnet ?? "").replace(/0\/24$/, "");
  let address = "";
  await until(
    `${name} has an address on the link`,
    async () => {
      const { nodes } = (await (await page.request.get("/api/nodes")).json()) as {
        nodes: { name: string; addresses: string[] }[];
      };
      address = nodes.find((node) => node.name === name)?.addresses.find((one) => one.startsWith(prefix)) ?? "";
      return address !== "";
    },
    120_000,
  );
  return address;
}

/** Adds a node of the smallest size through the dialog. */
async function addNode(page: Page, name: string): Promise<void> {
  await page.getByRole("button", { name: "Add to the lab" }).click();
  await page.getByRole("menuitem", { name: "Node", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("textbox", { name: "Name" }).fill(name);
  await dialog.getByLabel("Size").selectOption("128 MiB, 1 CPU");
  await dialog.getByRole("button", { name: "Add" }).click();
  await expect(page.locator(`[data-machine=${name}]`)).toBeVisible();
}

/** Drags from one position to another in steps. */
async function drag(page: Page, from: { x: number; y: number }, to: { x: number; y: number }): Promise<void> {
  await page.mouse.move(from.x, from.y);
  await page.mouse.down();
  await page.mouse.move((from.x + to.x) / 2, (from.y + to.y) / 2, { steps: 4 });
  await page.mouse.move(to.x, to.y, { steps: 4 });
  await page.mouse.up();
}

async function middleOf(page: Page, selector: string): Promise<{ x: number; y: number }> {
  const box = await page.locator(selector).boundingBox();
  if (!box) {
    throw new Error(`${selector} is not visible`);
  }
  return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

test("two nodes that are connected on the canvas ping each other, and only users with permission see the lab", async ({
  signedIn: page,
  lab,
  browser,
}, info) => {
  let id = "";

  await test.step("a lab is created", async () => {
    await page.goto("/labs");
    await page.getByRole("button", { name: "Create lab" }).click();
    await page.getByRole("dialog").getByRole("textbox", { name: "Name" }).fill("Ping pong");
    await page.keyboard.press("Enter");
    await expect(page.getByRole("heading", { level: 1, name: "Ping pong" })).toBeVisible();
    id = page.url().split("/").at(-1) ?? "";
    await addNode(page, "ping");
    await addNode(page, "pong");
    await drag(page, await middleOf(page, "[data-dot=ping]"), await middleOf(page, "[data-machine=pong]"));
    await expect(page.locator("[data-net=ping-pong-net1]")).toBeVisible();
    await expect(page.locator(".react-flow__edge")).toHaveCount(2);
    await expect(page.locator("[data-lab-network=ping-pong-net1]")).toContainText("2 nodes");
    expect(await lab.virsh("net-list", "--name")).toBe("ping-pong-net1");
    expect(await lab.virsh("domiflist", "ping")).toContain("ping-pong-net1");
  });

  await test.step("a moved node keeps its position, also for other viewers", async () => {
    const colleague = await browser.newPage({ storageState: await page.context().storageState(), baseURL: lab.url });
    await colleague.goto(`/labs/${id}`);
    const placeIn = (where: Page) => where.locator(".react-flow__node", { has: where.locator("[data-machine=pong]") });
    await expect(placeIn(colleague)).toBeVisible();
    const before = await placeIn(page).getAttribute("style");
    const middle = await middleOf(page, "[data-machine=pong]");
    await drag(page, middle, { x: middle.x + 24, y: middle.y + 160 });
    const after = (await placeIn(page).getAttribute("style")) ?? "";
    expect(after).not.toBe(before);
    const position = /translate\(([^)]*)\)/.exec(after)?.[1] ?? "nowhere";
    await expect(placeIn(colleague)).toHaveAttribute("style", new RegExp(`translate\\(${position}\\)`));
    await colleague.close();
    await page.reload();
    await expect(placeIn(page)).toHaveAttribute("style", new RegExp(`translate\\(${position}\\)`));
  });

  await test.step("all are started at once", async () => {
    await page.getByRole("button", { name: "Start all" }).click();
    await expect(page.locator("[data-lab-running='2']")).toBeVisible({ timeout: 30_000 });
    await expect(page.locator("[data-machine][data-run=running]")).toHaveCount(2);
  });

  await test.step("one pings the other through the link", async () => {
    const address = await awaitAddress(page, "pong", id);
    await page.getByRole("link", { name: "Console of ping" }).click();
    await logIn(page);
    // The nodes' first interfaces can't reach each other: the link is the only connection.
    await page.keyboard.type(
      `until ip route get ${address} | grep -q eth1; do sleep 1; done; ping -c 3 -W 10 ${address}; echo ended=$?\n`,
    );
    await expect(terminal(page)).toContainText("ended=0", { timeout: 60_000 });
    await expect(terminal(page)).toContainText(`bytes from ${address}`);
  });

  await test.step("a link is removed while they run, without a pointer", async () => {
    await page.goto(`/labs/${id}`);
    await page.getByRole("button", { name: "Remove the link from pong to ping-pong-net1" }).focus();
    await page.keyboard.press("Enter");
    await expect(page.locator("[data-lab-network=ping-pong-net1]")).toContainText("1 node", { timeout: 30_000 });
    expect(await lab.virsh("domiflist", "pong")).not.toContain("ping-pong-net1");
    await page.getByRole("button", { name: "Actions for pong" }).click();
    await page.getByRole("menuitem", { name: "Connect to…" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Connect" }).click();
    await expect(page.locator("[data-lab-network=ping-pong-net1]")).toContainText("2 nodes", { timeout: 30_000 });
    await awaitAddress(page, "pong", id); // of the new interface
  });

  await test.step("a student sees only the shared lab and its nodes", async () => {
    await makeNode(page, "secret");
    expect((await page.request.post("/api/labs", { data: { name: "Secret lab" } })).status()).toBe(201);
    const secret = (await (await page.request.get("/api/labs")).json()) as { labs: { id: string; name: string }[] };
    const password = "a student of the test";
    expect(
      (
        await page.request.post("/api/users", {
          data: { name: "sue", role: "student", password, mustChangePassword: false },
        })
      ).status(),
    ).toBe(201);
    const context = await browser.newContext({ baseURL: lab.url });
    const student = await context.newPage();
    const answer = await student.request.post("/api/auth/login", { data: { username: "sue", password } });
    expect(answer.status()).toBe(200);
    await student.goto("/labs");
    await expect(student.getByRole("heading", { name: "No labs yet" })).toBeVisible();
    await student.goto("/nodes");
    await expect(student.getByText("ping")).toHaveCount(0);
    await student.goto(`/labs/${id}`);
    await expect(student.getByRole("heading", { level: 1, name: "Lab not found" })).toBeVisible();

    const sharing = page.getByRole("dialog");
    const openSharing = async () => {
      await page.getByRole("button", { name: "Actions for the lab Ping pong" }).click();
      await page.getByRole("menuitem", { name: "Share" }).click();
    };
    await openSharing();
    await sharing.getByLabel("Share with").selectOption("sue");
    await sharing.getByRole("button", { name: "Share", exact: true }).click();
    await expect(sharing.locator("[data-share=sue]")).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(student.getByRole("heading", { level: 1, name: "Ping pong" })).toBeVisible();
    await student.getByRole("link", { name: "Labs", exact: true }).first().click();
    await expect(student.locator("[data-lab]")).toHaveCount(1);
    await student.getByRole("link", { name: "Ping pong" }).click();
    await expect(student.locator("[data-machine]")).toHaveCount(2);
    await expect(student.getByRole("button", { name: "Add to the lab" })).toHaveCount(0);
    await student.goto("/nodes");
    await expect(student.locator("[data-node]")).toHaveCount(2);
    await expect(student.getByText("secret")).toHaveCount(0);
    for (const { id: other, name } of secret.labs) {
      expect((await student.request.get(`/api/labs/${other}`)).status()).toBe(name === "Ping pong" ? 200 : 404);
    }
    await student.goto("/labs");
    await student.getByRole("link", { name: "Ping pong" }).click();
    await expect(student.locator("[data-machine]")).toHaveCount(2);
    await openSharing();
    await sharing.getByRole("button", { name: "Remove sue" }).click();
    await expect(student.getByRole("heading", { level: 1, name: "Lab not found" })).toBeVisible();
    await student.getByRole("link", { name: "View all labs" }).click();
    await expect(student.getByRole("heading", { name: "No labs yet" })).toBeVisible();
    await page.keyboard.press("Escape");
    await context.close();
  });

  await test.step("all are stopped at once", async () => {
    await page.getByRole("button", { name: "Stop all" }).click();
    await expect(page.locator("[data-machine][data-run=stopped]")).toHaveCount(2, { timeout: 60_000 });
  });

  await test.step("it is exported, imported as a copy, and deleted with its contents", async () => {
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Actions for the lab Ping pong" }).click();
    await page.getByRole("menuitem", { name: "Export as a file" }).click();
    const file = info.outputPath("copy.lab.json");
    await (await download).saveAs(file);
    expect(JSON.parse(await readFile(file, "utf8"))).toMatchObject({ sandboxlabs: "lab/1", name: "Ping pong" });

    await page.goto("/labs");
    // An invalid file is rejected with the position, and nothing is created.
    const bad = { sandboxlabs: "lab/1", name: "Bad", nodes: [{ name: "a", image: "nosuch", ram: 128, cpus: 1 }] };
    await page
      .getByLabel("Lab to import")
      .setInputFiles({ name: "bad.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(bad)) });
    await expect(page.getByText("Couldn't import bad.json")).toBeVisible();
    await expect(page.getByText("nodes[0]: ")).toBeVisible();
    // A large import continues after a reload, is listed as a running task, and is cancelled there.
    const nodes = Array.from({ length: 60 }, (_, i) => ({ name: `many-${i}`, image: "micro", ram: 128, cpus: 1 }));
    const large = { sandboxlabs: "lab/1", name: "Large", nodes };
    await page
      .getByLabel("Lab to import")
      .setInputFiles({ name: "large.json", mimeType: "application/json", buffer: Buffer.from(JSON.stringify(large)) });
    await expect(page.getByRole("dialog").getByText(/Making node many-\d+, \d+ of 60/)).toBeVisible();
    await page.reload();
    await page.getByRole("button", { name: "Activity: 1 task running" }).click();
    const work = page.getByRole("list", { name: "Running jobs" });
    await expect(work.getByText("Import lab Large")).toBeVisible();
    await work.getByRole("button", { name: "Cancel: Import lab Large" }).click();
    await expect(page.locator("[data-ended=cancelled]")).toContainText("Import lab", { timeout: 30_000 });
    await expect(page.locator("[data-lab='Large']")).toHaveCount(0);
    expect(await lab.virsh("list", "--all", "--name")).not.toContain("many-");
    await page.getByRole("button", { name: "Activity" }).click();

    await page.getByLabel("Lab to import").setInputFiles(file);
    await expect(page.getByText("Lab imported")).toBeVisible({ timeout: 60_000 });
    await expect(page).toHaveURL(/\/labs\/[0-9a-f-]{36}$/);
    await expect(page.locator("[data-machine=ping-2]")).toBeVisible();
    await expect(page.locator("[data-machine=pong-2]")).toBeVisible();
    await expect(page.locator(".react-flow__edge")).toHaveCount(2);
    const copy = await labBody(page, page.url().split("/").at(-1) ?? "");
    const original = await labBody(page, id);
    const ping = copy.nodes[0]?.id ?? "";
    expect(copy.nodes.map(({ x, y }) => `${x},${y}`).sort()).toEqual(
      original.nodes.map(({ x, y }) => `${x},${y}`).sort(),
    );

    // On a node's page it is connected to another network.
    await page.goto(`/nodes/${ping}/networks`);
    await page.getByLabel("Network", { exact: true }).selectOption("ping-pong-net1");
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await expect(page.locator("[data-card=ping-pong-net1]")).toBeVisible();
    expect(await lab.virsh("domiflist", ping)).toContain("ping-pong-net1");
    await page.goto(`/labs/${copy.id}`);

    const colleague = await browser.newPage({ storageState: await page.context().storageState(), baseURL: lab.url });
    await colleague.goto(`/labs/${copy.id}`);
    await expect(colleague.getByRole("heading", { level: 1, name: "Ping pong" })).toBeVisible();
    await page.getByRole("button", { name: "Actions for the lab Ping pong" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Delete its 2 nodes and 1 network too").check();
    await dialog.getByRole("textbox").fill("Ping pong");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect(page).toHaveURL(/\/labs$/);
    await expect(page.locator("[data-lab]")).toHaveCount(2);
    await expect(colleague.getByRole("heading", { level: 1, name: "Lab not found" })).toBeVisible();
    await colleague.close();
    const domains = (await lab.virsh("list", "--all", "--name"))
      .split("\n")
      .map((name) => name.trim())
      .sort();
    expect(domains).toEqual(["ping", "pong", "secret"]);
    expect(await lab.virsh("net-list", "--all", "--name")).toBe("ping-pong-net1");
  });
});

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import { expect, logIn, makeNode, terminal, test } from "./fixtures";
import { until } from "./lab";
import { paths } from "../src/shared/paths";
import { places } from "./places";

const folder = join(import.meta.dirname, "..", "..", "docs", "screenshots");

// A lab on the canvas needs networks, which require root here.
const withNetworks = process.getuid?.() === 0;
test.use({ networks: withNetworks });

type Look = "light" | "dark" | "phone";
const allLooks: readonly Look[] = ["light", "dark", "phone"];
const wide = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };

/** Takes screenshots of a page in the requested variants, as NAME-light.png and so on. */
async function shoot(page: Page, name: string, looks: readonly Look[]): Promise<void> {
  for (const look of looks) {
    await page.emulateMedia({ colorScheme: look === "dark" ? "dark" : "light", reducedMotion: "reduce" });
    await page.setViewportSize(look === "phone" ? phone : wide);
    await expect(page.locator(".pf-v6-c-skeleton, .pf-v6-c-spinner")).toHaveCount(0);
    await page.evaluate(() => document.fonts.ready);
    await page.screenshot({ path: join(folder, `${name}-${look}.png`), animations: "disabled", caret: "hide" });
  }
  await page.setViewportSize(wide);
}

test("every page", async ({ page, lab }, info) => {
  test.setTimeout(30 * 60_000); // a hundred screenshots while emulated guests run
  await page.route(/\/api\/(settings|hosts)$/, async (route) => {
    const answer = await route.fetch();
    await route.fulfill({ response: answer, body: lab.asInstalled(await answer.text()) });
  });
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Sign in to SandboxLabs" })).toBeVisible();
  await shoot(page, "sign-in", allLooks);
  await page.getByLabel("User name").fill(lab.user);
  await page.getByLabel("Password").fill(lab.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: /^Create your first node from/ })).toBeVisible();
  await shoot(page, "first-node", allLooks);

  await page.goto("/nodes/new?image=micro");
  await expect(page.getByRole("textbox", { name: "Name", exact: true })).toHaveValue("micro-1");
  await shoot(page, "create-node", allLooks);
  await page.getByRole("button", { name: "First boot (cloud-init)" }).click();
  await page.getByRole("textbox", { name: "Host name" }).fill("web1.lab");
  await page.getByRole("textbox", { name: "User data" }).fill("#cloud-config\npackages: [nginx]\n");
  await page.getByRole("textbox", { name: "User data" }).scrollIntoViewIfNeeded();
  await shoot(page, "first-boot", allLooks);

  const web = await makeNode(page, "web-1", { run: true });
  await page.goto(`/nodes/${web.id}/console`);
  await logIn(page);
  await page.keyboard.type("clear; uname -sr; free -m; df -h /; ls -F /\n");
  await expect(terminal(page)).toContainText("usr/");
  await shoot(page, "console", allLooks);

  await page.getByRole("link", { name: "Log" }).click();
  await expect(page.getByRole("region", { name: "Log of web-1" })).toContainText("usr/");
  await page.getByRole("textbox", { name: "Search the log" }).fill("login");
  await page.keyboard.press("Enter");
  await page
    .getByRole("region", { name: "Matching lines" })
    .getByRole("button", { name: /login: root/ })
    .click();
  await expect(page.getByRole("region", { name: "Log of web-1" }).locator("mark")).toBeVisible();
  await shoot(page, "log", allLooks);

  const db1 = await makeNode(page, "db-1", { ram: 1024 });
  const db2 = await makeNode(page, "db-2", { ram: 1024 });
  const router = await makeNode(page, "router");
  const scratch = await makeNode(page, "scratch", { ram: 512 });
  const web2 = await makeNode(page, "web-2");
  const worker = await makeNode(page, "worker-1");
  const elsewhere = info.outputPath("build-agent.xml");
  await writeFile(
    elsewhere,
    `<domain type="qemu"><name>build-agent</name><memory unit="MiB">2048</memory><vcpu>2</vcpu>
      <os><type>hvm</type></os><devices><serial type="pty"/></devices></domain>`,
  );
  await lab.define(elsewhere);
  await page.goto(`/nodes/${web.id}/xml`);
  await expect(page.getByText(web.id).first()).toBeVisible();
  await shoot(page, "xml", allLooks);

  await page.goto("/account");
  for (const name of ["ci", "backup"]) {
    await page.getByRole("button", { name: "Create token" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill(name);
    await page.keyboard.press("Enter");
    await expect(page.locator("[data-secret]")).toBeVisible();
    if (name === "backup") {
      await shoot(page, "new-token", allLooks);
    }
    await page.getByRole("button", { name: "Done" }).click();
  }

  const drawn = await drawLab(page, "Web shop", [
    { node: router.id, x: 352, y: 0, networks: withNetworks ? [0] : [] },
    { node: web.id, x: 120, y: 320, networks: withNetworks ? [0, 1] : [] },
    { node: web2.id, x: 584, y: 320, networks: withNetworks ? [0, 1] : [] },
    { node: db1.id, x: 232, y: 608, networks: withNetworks ? [1] : [] },
    { node: db2.id, x: 480, y: 608, networks: withNetworks ? [1] : [] },
  ]);
  await drawLab(page, "Exam 3", []);
  for (const { id } of [router, db1, web2, worker]) {
    expect((await page.request.post(`/api/nodes/${id}/run`)).status()).toBe(200);
  }
  await finish(page, await make(page, `/api/nodes/${scratch.id}/image`, { name: "Golden web server" }));
  await finish(page, await make(page, `/api/nodes/${scratch.id}/clone`, { name: "scratch-copy", mode: "full" }));
  for (const [name, role] of [
    ["ann", "instructor"],
    ["sue", "student"],
    ["tom", "student"],
  ]) {
    await make(page, "/api/users", { name, role, password: `the password of ${name}` });
  }
  await make(page, "/api/groups", { name: "class-a" });
  const quota = { nodes: 5, running: 2, cpus: 4, ram: 4096, disk: 20 * 1024 ** 3, uploads: 1 };
  expect((await page.request.patch("/api/users/sue", { data: { quota } })).status()).toBe(200);
  for (const name of ["sue", "tom"]) {
    expect((await page.request.put(`/api/groups/class-a/members/${name}`)).status()).toBeLessThan(300);
  }

  // All pages without a separate scene, and those whose scene was only a part of the page.
  const ready: Record<string, () => Promise<void>> = {
    dashboard: () => expect(page.locator("[data-thumbnail=shown]")).toHaveCount(5),
    nodes: () => expect(page.locator("[data-node=worker-1] [data-state=paused]")).toBeVisible(),
    node: () => expect(page.getByRole("heading", { name: "Details" })).toBeVisible(),
    lab: () => expect(page.locator(".react-flow__edge")).toHaveCount(withNetworks ? 7 : 0),
    account: () => expect(page.locator("[data-token=backup]")).toBeVisible(),
    images: () => expect(page.locator("[data-image='Golden web server'] [data-state=ready]")).toBeVisible(),
    jobs: () => expect(page.locator("[data-job-state=succeeded]")).toHaveCount(2),
  };
  for (const name of ["installed", "configured"]) {
    await make(page, `/api/nodes/${db2.id}/snapshots`, { name });
  }
  // Wait until the guests have booted.
  await until(
    "every guest that runs has an address",
    async () => {
      const { nodes } = (await (await page.request.get("/api/nodes")).json()) as {
        nodes: { state: string; addresses: string[] }[];
      };
      return nodes.every(({ state, addresses }) => state !== "running" || addresses.length > 0);
    },
    240_000,
  );
  expect((await page.request.post(`/api/nodes/${worker.id}/pause`)).status()).toBe(200);
  for (const [tab, of] of [
    ["screen", web],
    ["both", web],
    ["disks", db2],
    ["snapshots", db2],
    ["networks", web],
    ["sharing", web],
    ["events", web],
  ] as const) {
    await page.goto(paths.nodeTab(of.id, tab));
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    if (tab === "screen" || tab === "both") {
      await expect(page.getByRole("toolbar", { name: "Screen" }).getByText("Connected")).toBeVisible();
    }
    await shoot(page, `node-${tab}`, allLooks);
  }
  const taken = ["sign-in", "create-node", "console", "log", "guacamole", "console-window", "screen-window"];
  for (const [name, pathOf] of Object.entries(places)) {
    if (taken.includes(name) || name.startsWith("no-such-")) {
      continue;
    }
    await page.goto(pathOf({ node: web.id, lab: drawn, user: "sue" }));
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await ready[name]?.();
    await shoot(page, name, allLooks);
  }
});

/** Creates an object through the API, and resolves with its ID. */
async function make(page: Page, path: string, data: object): Promise<string> {
  const answer = await page.request.post(path, { data });
  expect(answer.status(), await answer.text()).toBeLessThan(300);
  return ((await answer.json()) as { id?: string }).id ?? "";
}

/** Waits until a job has succeeded. */
async function finish(page: Page, job: string): Promise<void> {
  await until(
    `job ${job} has succeeded`,
    async () => {
      const { state } = (await (await page.request.get(`/api/jobs/${job}`)).json()) as { state: string };
      return state === "succeeded";
    },
    120_000,
  );
}

interface Placed {
  node: string;
  x: number;
  y: number;
  /** Index of its network among the lab's two. */
  networks: number[];
}

/** Creates a lab through the API, and resolves with its ID. */
async function drawLab(page: Page, name: string, nodes: Placed[]): Promise<string> {
  const lab = await make(page, "/api/labs", { name });
  const networks: string[] = [];
  if (nodes.some((node) => node.networks.length > 0)) {
    networks.push(await make(page, `/api/labs/${lab}/networks`, { x: 368, y: 176 }));
    networks.push(await make(page, `/api/labs/${lab}/networks`, { x: 368, y: 488 }));
  }
  for (const { node, x, y, networks: on } of nodes) {
    expect((await page.request.put(`/api/labs/${lab}/nodes/${node}`, { data: { x, y } })).status()).toBe(200);
    for (const network of on) {
      await make(page, `/api/labs/${lab}/links`, { from: node, to: networks[network] });
    }
  }
  return lab;
}

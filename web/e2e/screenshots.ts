import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Page } from "@playwright/test";

import { expect, logIn, makeNode, terminal, test } from "./fixtures";

const folder = join(import.meta.dirname, "..", "..", "docs", "screenshots");

const wide = { width: 1280, height: 800 };
const phone = { width: 390, height: 844 };

/** Writes one page in the looks that are asked for, as NAME-light.png and so on. */
async function shoot(page: Page, name: string, looks: readonly ("light" | "dark" | "phone")[]): Promise<void> {
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
  await page.goto("/");
  await expect(page.getByRole("heading", { name: "Sign in to SandboxLabs" })).toBeVisible();
  await shoot(page, "sign-in", ["light", "phone"]);
  await page.getByLabel("User name").fill(lab.user);
  await page.getByLabel("Password").fill(lab.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByRole("heading", { name: /^Create your first node from/ })).toBeVisible();
  await shoot(page, "first-node", ["light", "dark"]);

  await page.goto("/nodes/new?image=micro");
  await expect(page.getByRole("textbox", { name: "Name", exact: true })).toHaveValue("micro-1");
  await shoot(page, "create-node", ["light", "dark", "phone"]);
  await page.getByRole("button", { name: "First boot (cloud-init)" }).click();
  await page.getByRole("textbox", { name: "Host name" }).fill("web1.lab");
  await page.getByRole("textbox", { name: "User data" }).fill("#cloud-config\npackages: [nginx]\n");
  await page.getByRole("textbox", { name: "User data" }).scrollIntoViewIfNeeded();
  await shoot(page, "first-boot", ["light", "dark", "phone"]);

  const web = await makeNode(page, "web-1", { run: true });
  await page.goto(`/nodes/${web.id}/console`);
  await logIn(page);
  await page.keyboard.type("clear; uname -sr; free -m; df -h /; ls -F /\n");
  await expect(terminal(page)).toContainText("usr/");
  await shoot(page, "console", ["light", "dark", "phone"]);

  await page.getByRole("link", { name: "Log" }).click();
  await expect(page.getByRole("region", { name: "Log of web-1" })).toContainText("usr/");
  await page.getByRole("textbox", { name: "Search the log" }).fill("login");
  await page.keyboard.press("Enter");
  await page.getByRole("region", { name: "Lines found" }).getByRole("button", { name: /login: root/ }).click();
  await expect(page.getByRole("region", { name: "Log of web-1" }).locator("mark")).toBeVisible();
  await shoot(page, "log", ["light", "dark", "phone"]);

  await makeNode(page, "db-1", { ram: 1024, cpus: 2, run: true });
  await makeNode(page, "db-2", { ram: 1024, cpus: 2 });
  await makeNode(page, "router", { run: true });
  await makeNode(page, "scratch", { ram: 512 });
  await makeNode(page, "web-2", { run: true });
  const paused = await makeNode(page, "worker-1", { run: true });
  expect((await page.request.post(`/api/nodes/${paused.id}/pause`)).status()).toBe(200);
  const elsewhere = info.outputPath("build-agent.xml");
  await writeFile(
    elsewhere,
    `<domain type="qemu"><name>build-agent</name><memory unit="MiB">2048</memory><vcpu>2</vcpu>
      <os><type>hvm</type></os><devices><serial type="pty"/></devices></domain>`,
  );
  await lab.define(elsewhere);
  await page.goto(`/nodes/${web.id}`);
  await expect(page.getByText("In libvirt")).toBeVisible();
  await shoot(page, "node", ["light", "dark", "phone"]);
  await page.goto(`/nodes/${web.id}/xml`);
  await expect(page.getByText(web.id).first()).toBeVisible();
  await shoot(page, "xml", ["light", "dark", "phone"]);

  await page.goto("/nodes");
  await expect(page.locator("[data-node=worker-1] [data-state=paused]")).toBeVisible();
  await expect(page.locator("[data-node=build-agent]")).toBeVisible();
  await shoot(page, "nodes", ["light", "dark", "phone"]);

  await page.goto("/");
  await expect(page.locator("[data-thumbnail=shown]")).toHaveCount(5);
  await shoot(page, "dashboard", ["light", "dark", "phone"]);

  await page.goto("/account");
  for (const name of ["ci", "backup"]) {
    await page.getByRole("button", { name: "Create token" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill(name);
    await page.keyboard.press("Enter");
    await expect(page.locator("[data-secret]")).toBeVisible();
    if (name === "backup") {
      await shoot(page, "new-token", ["light", "dark", "phone"]);
    }
    await page.getByRole("button", { name: "Done" }).click();
  }
  await expect(page.locator("[data-token=backup]")).toBeVisible();
  await shoot(page, "account", ["light", "dark", "phone"]);

  await page.goto("/images");
  await expect(page.getByRole("region", { name: "Base images" }).getByText("Ready")).toBeVisible();
  await shoot(page, "images", ["light", "dark", "phone"]);
});

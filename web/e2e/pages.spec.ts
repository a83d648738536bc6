import type { Page } from "@playwright/test";

import { violations } from "./axe";
import { deleteNode, expect, makeNode, test } from "./fixtures";
import { type Things, places, routesWithoutPlace } from "./places";

/** Opens a page and waits until it shows its contents. */
async function visit(page: Page, path: string): Promise<void> {
  await page.goto(path);
  await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
  await expect(page.locator(".pf-v6-c-skeleton, .pf-v6-c-spinner")).toHaveCount(0);
}

// Each page is a separate test, so that workers share them.
test.describe.configure({ mode: "parallel" });

const phone = { width: 360, height: 740 };

/** Returns by how many pixels page and content are wider than the window. */
async function overflow(page: Page): Promise<number[]> {
  return page.evaluate(() =>
    [document.documentElement, document.querySelector("main")].map((element) =>
      element ? element.scrollWidth - element.clientWidth : 0,
    ),
  );
}
const things: Things = { node: "", lab: "", user: "" };

test("every route is tested", async () => {
  expect(await routesWithoutPlace()).toEqual([]);
});

/** Sets the system's preferred theme, and waits until the page uses it. */
async function paint(page: Page, colorScheme: "light" | "dark"): Promise<void> {
  await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
  const isDark = () => page.locator("html").evaluate((html) => html.classList.contains("pf-v6-theme-dark"));
  await expect.poll(isDark).toBe(colorScheme === "dark");
}

test.describe("each page", () => {
  // All pages share a node and a lab, because emulation is slow.
  test.beforeAll(async ({ lab, playwright }) => {
    const request = await playwright.request.newContext({ baseURL: lab.url });
    expect(
      (await request.post("/api/auth/login", { data: { username: lab.user, password: lab.password } })).status(),
    ).toBe(200);
    things.user = lab.user;
    things.node = (await makeNode({ request }, "axe-1")).id;
    const made = await request.post("/api/labs", { data: { name: "Axe" } });
    expect(made.status()).toBe(201);
    things.lab = ((await made.json()) as { id: string }).id;
    expect((await request.put(`/api/labs/${things.lab}/nodes/${things.node}`, { data: { x: 0, y: 0 } })).status()).toBe(
      200,
    );
    await request.dispose();
  });
  test.afterAll(async ({ lab, playwright }) => {
    const request = await playwright.request.newContext({ baseURL: lab.url });
    await request.post("/api/auth/login", { data: { username: lab.user, password: lab.password } });
    await request.delete(`/api/labs/${things.lab}`);
    await deleteNode({ request }, { id: things.node });
    await request.dispose();
  });

  for (const [name, pathOf] of Object.entries(places)) {
    test(`${name}: accessible in both themes, and fits a phone`, async ({ signedIn: page }) => {
      const problems: string[] = [];
      page.on("pageerror", (error) => problems.push(error.message));
      page.on("console", (message) => {
        // The browser logs each failed request; the page itself reports those.
        if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
          problems.push(message.text());
        }
      });
      if (name === "sign-in") {
        await page.context().clearCookies();
      }
      await page.emulateMedia({ reducedMotion: "reduce" });
      await visit(page, pathOf(things));
      await paint(page, "light");
      expect(await violations(page), "light").toEqual([]);
      await paint(page, "dark");
      expect(await violations(page), "dark").toEqual([]);
      await page.setViewportSize(phone);
      await expect(page.locator(".pf-v6-c-skeleton, .pf-v6-c-spinner")).toHaveCount(0);
      expect(await violations(page), "phone").toEqual([]);
      expect(await overflow(page)).toEqual([0, 0]);
      expect(problems).toEqual([]);
    });
  }
});

test("each view of a node is accessible in both themes, and fits a phone", async ({ signedIn: page }) => {
  const wide = page.viewportSize() ?? phone;
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  const node = await makeNode(page, "axe-4");
  try {
    for (const name of ["first", "second"]) {
      expect((await page.request.post(`/api/nodes/${node.id}/snapshots`, { data: { name } })).status()).toBe(201);
    }
    await visit(page, `/nodes/${node.id}`);
    const views = page.getByRole("navigation", { name: "Node views" });
    for (const name of [
      "Console",
      "Screen",
      "Side by side",
      "Log",
      "Disks",
      "Snapshots",
      "Networks",
      "Sharing",
      "Events",
      "XML",
    ]) {
      await views.getByRole("link", { name, exact: true }).click();
      await expect(page.getByRole("region", { name, exact: true }).first()).toBeVisible();
      await expect(page.locator(".pf-v6-c-skeleton, .pf-v6-c-spinner")).toHaveCount(0);
      for (const colorScheme of ["light", "dark"] as const) {
        await paint(page, colorScheme);
        expect(await violations(page), `${name}, ${colorScheme}`).toEqual([]);
      }
      await page.setViewportSize(phone);
      expect(await overflow(page), `${name} on a phone`).toEqual([0, 0]);
      await page.setViewportSize(wide);
    }
    expect(problems).toEqual([]);
  } finally {
    expect((await page.request.delete(`/api/nodes/${node.id}?snapshots=true`)).status()).toBe(204);
  }
});

test("dialogs and menus are accessible", async ({ signedIn: page }) => {
  const node = await makeNode(page, "axe-2");
  try {
    await visit(page, "/nodes");
    await page.getByRole("button", { name: "Actions for axe-2" }).click();
    await expect(page.getByRole("menuitem", { name: "Delete" })).toBeVisible();
    expect(await violations(page, { menu: true })).toEqual([]);
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await expect(page.getByRole("dialog")).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press("Escape");
    await expect(page.getByRole("dialog")).toHaveCount(0);
  } finally {
    await deleteNode(page, node);
  }
});

test("what opens on demand is accessible", async ({ signedIn: page }) => {
  const node = await makeNode(page, "axe-3");
  try {
    await visit(page, "/nodes/new?image=micro");
    await page.getByRole("button", { name: "First boot (cloud-init)" }).click();
    await expect(page.getByRole("textbox", { name: "User data" })).toBeVisible();
    expect(await violations(page)).toEqual([]);

    await visit(page, `/nodes/${node.id}`);
    await page.getByRole("link", { name: "Micro" }).click();
    await expect(page).toHaveURL(/\/images\/micro$/);
    await expect(page.getByRole("list", { name: "Used by" }).getByRole("link", { name: "axe-3" })).toBeVisible();
    expect(await violations(page)).toEqual([]);

    await visit(page, "/account");
    await page.getByRole("button", { name: "Create token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("axe");
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press("Enter");
    await expect(dialog.locator("[data-secret]")).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await dialog.getByRole("button", { name: "Done" }).click();
    await expect(page.locator("[data-token=axe]")).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Revoke axe" }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await expect(page.locator("[data-token=axe]")).toHaveCount(0);
  } finally {
    await deleteNode(page, node);
  }
});

test("the theme is selected, stored, and set back to the system's setting", async ({ signedIn: page }) => {
  await page.emulateMedia({ colorScheme: "light" });
  await visit(page, "/nodes");
  const html = page.locator("html");
  const choose = async (name: string) => {
    await page.getByRole("button", { name: "Theme" }).click();
    await page.getByRole("menuitem", { name }).click();
  };
  await choose("Dark");
  await expect(html).toHaveClass(/pf-v6-theme-dark/);
  await page.reload();
  await expect(html).toHaveClass(/pf-v6-theme-dark/);
  await choose("Use system setting");
  await expect(html).not.toHaveClass(/pf-v6-theme-dark/);
  await page.emulateMedia({ colorScheme: "dark" });
  await expect(html).toHaveClass(/pf-v6-theme-dark/);
});

test("content and menus are reachable by keyboard", async ({ signedIn: page }) => {
  await visit(page, "/nodes");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("link", { name: "Skip to content" })).toBeFocused();
  await page.getByRole("button", { name: "Help" }).focus();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("menuitem", { name: "All guides" })).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: "Help" })).toBeFocused();
});

test("fields are checked while typing, and the request is shown as a shell command", async ({ signedIn: page }) => {
  await visit(page, "/nodes/new?image=micro");
  const name = page.getByRole("textbox", { name: "Name" });
  await expect(name).toHaveValue("micro-1");
  await name.fill("no blanks");
  await expect(page.getByText("Use only letters, digits, ., - and _.")).toBeVisible();
  await expect(page.getByRole("button", { name: "Create and open console" })).toBeDisabled();
  await name.fill("from-shell");
  await page.getByRole("button", { name: "Medium" }).click();
  const disk = page.getByRole("spinbutton", { name: "Disk" });
  await disk.fill("0.1");
  await expect(page.getByText("The image needs at least 512 MiB.")).toBeVisible();
  await disk.fill("2");
  await page.getByRole("button", { name: "Show command" }).click();
  await expect(page.getByText(`"resources":{"ram":2048,"cpus":2,"disk":2147483648}`)).toBeVisible();
});

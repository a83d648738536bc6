import type { Page } from "@playwright/test";

import { violations } from "./axe";
import { expect, test } from "./fixtures";

test("a token is created, used and revoked", async ({ signedIn: page, lab }) => {
  await page.goto("/nodes");
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.getByRole("menuitem", { name: "Account" }).click();
  await expect(page).toHaveURL(/\/account$/);
  await page.getByRole("button", { name: "Create token" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("ci");
  await dialog.getByLabel("Expires after").selectOption("30 days");
  await page.keyboard.press("Tab");
  await dialog.getByRole("button", { name: "Create token" }).click();
  const secret = (await dialog.locator("[data-secret]").textContent()) ?? "";
  expect(secret).toMatch(/^sbx_/);
  const use = () => fetch(`${lab.url}/api/nodes`, { headers: { Authorization: `Bearer ${secret}` } });
  expect((await use()).status).toBe(200);
  await dialog.getByRole("button", { name: "Done" }).click();
  await expect(page.getByText(secret)).toHaveCount(0);

  await page.reload();
  const row = page.locator("[data-token=ci]");
  await expect(row).toContainText("just now");
  await expect(row).not.toContainText("never");
  await page.getByRole("button", { name: "Revoke ci" }).click();
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await expect(row).toHaveCount(0);
  expect((await use()).status).toBe(401);
});

test("an administrator sees the user of each token, and revokes the token of one user", async ({
  signedIn: page,
  lab,
  browser,
}) => {
  const user = "cai-of-the-evening-course";
  const password = "a password of cai's own";
  expect(
    (
      await page.request.post("/api/users", {
        data: { name: user, role: "instructor", password, mustChangePassword: false },
      })
    ).status(),
  ).toBe(201);
  const other = await browser.newContext({ baseURL: lab.url });
  try {
    expect((await other.request.post("/api/auth/login", { data: { username: user, password } })).ok()).toBe(true);
    const makeToken = async (by: Pick<Page, "request">, data: object) =>
      expect((await by.request.post("/api/tokens", { data })).status()).toBe(201);
    await makeToken(page, { name: "backup" });
    await makeToken(other, { name: "backup", scopes: ["nodes"] });

    await page.goto("/account");
    await expect(page.getByRole("columnheader", { name: "User" })).toBeVisible();
    const rows = page.locator("[data-token=backup]");
    await expect(rows).toHaveCount(2);
    await expect(rows.filter({ hasText: lab.user }).locator("[data-label=Scopes]")).toHaveText("all");
    const theirs = rows.filter({ hasText: user });
    await expect(theirs.locator("[data-label=Scopes]")).toHaveText("nodes");
    await page.setViewportSize({ width: 390, height: 844 });
    await expect(theirs).toContainText(`User: ${user}`);
    await theirs.getByRole("button", { name: `Revoke backup of ${user}` }).click();
    const dialog = page.getByRole("dialog", { name: `Revoke backup of ${user}?` });
    // The full name, not truncated.
    await expect
      .poll(() =>
        dialog.locator(".pf-v6-c-modal-box__title-text").evaluate((text) => text.scrollWidth - text.clientWidth),
      )
      .toBe(0);
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await expect(theirs).toHaveCount(0);
    await expect(rows).toHaveCount(1);

    // Other users only see their own tokens.
    await makeToken(other, { name: "mine" });
    const mine = await other.newPage();
    await mine.goto("/account");
    await expect(mine.locator("[data-token]")).toHaveCount(1);
    await expect(mine.getByRole("columnheader", { name: "User" })).toHaveCount(0);
    await mine.getByRole("button", { name: "Revoke mine" }).click();
    await expect(mine.getByRole("dialog", { name: "Revoke mine?" })).toBeVisible();
  } finally {
    await other.close();
    await page.request.delete(`/api/users/${user}`);
  }
});

test("the password is changed, and the user stays signed in", async ({ signedIn: page, lab, browser }) => {
  const fresh = "a fresh long password";
  const change = page.getByRole("button", { name: "Change password" });
  const other = await browser.newContext({ baseURL: lab.url });
  expect(
    (await other.request.post("/api/auth/login", { data: { username: lab.user, password: lab.password } })).ok(),
  ).toBe(true);
  await page.goto("/account");
  const fill = async (current: string, next: string) => {
    await page.getByLabel("Current password").fill(current);
    await page.getByLabel(/^New password(?! again)/).fill(next);
    await page.getByLabel("Confirm new password").fill(next);
  };
  await fill(lab.password, "too short");
  await expect(page.getByText("Use at least 12 characters.")).toBeVisible();
  await expect(change).toBeDisabled();
  await fill("not my password", fresh);
  await change.click();
  await expect(page.getByText("Couldn't change the password")).toBeVisible();
  await expect(page).toHaveURL(/\/account$/); // still signed in
  await fill(lab.password, fresh);
  await change.click();
  try {
    await expect(page.getByText("Password changed. You've been signed out everywhere else.")).toBeVisible();
    await page.reload();
    await expect(page.getByRole("heading", { name: "Account" })).toBeVisible();
    expect((await other.request.get("/api/auth/me")).status()).toBe(401);
  } finally {
    // The lab's other tests use the first password.
    await page.request.post("/api/auth/password", { data: { current: fresh, new: lab.password } });
    await other.close();
  }
});

test("another session is ended", async ({ signedIn: page, lab, browser }) => {
  const other = await browser.newContext({
    baseURL: lab.url,
    userAgent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
  });
  try {
    expect(
      (await other.request.post("/api/auth/login", { data: { username: lab.user, password: lab.password } })).ok(),
    ).toBe(true);
    await page.goto("/account");
    await page.getByRole("button", { name: "End session of Firefox on Linux from 127.0.0.1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "End session" }).click();
    await expect(page.getByText("Session ended")).toBeVisible();
    await expect(page.getByText("Firefox on Linux")).toHaveCount(0);
    await expect(page.getByText("This device")).toBeVisible();
    expect((await other.request.get("/api/auth/me")).status()).toBe(401);
  } finally {
    await other.close();
  }
});

test("an SSH key is added and removed", async ({ signedIn: page }) => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBvnz4JHgQFKvPEJHXUFpKGbUJtrSGLXIVFMdPZhPtkU ann@example.org";
  await page.goto("/account");
  const draft = page.getByRole("textbox", { name: "New key" });
  await draft.fill("no key");
  await page.getByRole("button", { name: "Add key" }).click();
  await expect(page.getByText("Couldn't change the keys")).toBeVisible();
  await draft.fill(`${key}\n`);
  await page.getByRole("button", { name: "Add key" }).click();
  await expect(page.getByText("ann@example.org", { exact: true })).toBeVisible();
  await page.reload();
  await page.getByRole("button", { name: "Remove ann@example.org" }).click();
  await expect(page.getByText("ann@example.org", { exact: true })).toHaveCount(0);
});

test("an old session asks for the password before a second factor or a token is created", async ({
  signedIn: page,
  lab,
}) => {
  const confirm = page.getByRole("dialog", { name: "Confirm it's you" });
  const setUp = page.getByRole("button", { name: "Set up two-factor authentication" });
  await lab.inDatabase("UPDATE sessions SET created = '2020-01-01 00:00:00+00:00', confirmed = NULL");
  await page.goto("/account");
  await test.step("cancelling sets nothing up", async () => {
    await setUp.click();
    await expect(confirm.getByLabel("Password")).toBeFocused();
    expect(await violations(page)).toEqual([]);
    await confirm.getByRole("button", { name: "Cancel" }).click();
    await expect(page.getByRole("dialog")).toHaveCount(0);
    await expect(setUp).toBeEnabled();
  });
  await test.step("a token is created after the password", async () => {
    await page.getByRole("button", { name: "Create token" }).click();
    const form = page.getByRole("dialog", { name: "New API token" });
    await form.getByLabel("Name").fill("late");
    await page.keyboard.press("Enter");
    await confirm.getByLabel("Password").fill("not my password");
    await page.keyboard.press("Enter");
    await expect(confirm.getByText("Wrong user name or password.")).toBeVisible();
    await expect(page.locator("[data-secret]")).toHaveCount(0);
    await confirm.getByLabel("Password").fill(lab.password);
    await page.keyboard.press("Enter");
    await expect(page.locator("[data-secret]")).toBeVisible();
    await page.getByRole("button", { name: "Done" }).click();
    await page.getByRole("button", { name: "Revoke late" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Revoke" }).click();
    await expect(page.locator("[data-token=late]")).toHaveCount(0);
  });
  await test.step("a second factor is set up after the password", async () => {
    await lab.inDatabase("UPDATE sessions SET created = '2020-01-01 00:00:00+00:00', confirmed = NULL");
    await setUp.click();
    await confirm.getByLabel("Password").fill(lab.password);
    await confirm.getByRole("button", { name: "Confirm" }).click();
    const form = page.getByRole("dialog", { name: "Set up two-factor authentication" });
    await expect(form.locator("[data-totp-secret]")).toHaveText(/^[A-Z2-7]{16,}$/);
    await expect(confirm).toHaveCount(0);
    expect(await violations(page)).toEqual([]);
    await form.getByRole("button", { name: "Cancel" }).click();
    await expect(form).toHaveCount(0);
  });
});

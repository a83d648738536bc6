import { request } from "@playwright/test";

import { expect, test } from "./fixtures";

test("a token is made, used and revoked", async ({ signedIn: page, lab }) => {
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

test("the password is changed, after which one signs in again", async ({ signedIn: page, lab }) => {
  const fresh = "a fresh long password";
  const change = page.getByRole("button", { name: "Change password" });
  await page.goto("/account");
  const fill = async (current: string, next: string) => {
    await page.getByLabel("Present password").fill(current);
    await page.getByLabel(/^New password(?! again)/).fill(next);
    await page.getByLabel("New password again").fill(next);
  };
  await fill(lab.password, "too short");
  await expect(page.getByText("Use at least 12 characters.")).toBeVisible();
  await expect(change).toBeDisabled();
  await fill("not my password", fresh);
  await change.click();
  await expect(page.getByText("Your password is not changed")).toBeVisible();
  await expect(page).toHaveURL(/\/account$/); // still signed in
  await fill(lab.password, fresh);
  await change.click();
  try {
    await expect(page).toHaveURL(/\/login\?next=%2Faccount$/);
    await page.getByLabel("User name").fill(lab.user);
    await page.getByRole("textbox", { name: "Password" }).fill(fresh);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await expect(page).toHaveURL(/\/account$/);
  } finally {
    // The other tests of the lab know the first password.
    const other = await request.newContext({ baseURL: lab.url });
    await other.post("/api/auth/login", { data: { username: lab.user, password: fresh } });
    await other.post("/api/auth/password", { data: { current: fresh, new: lab.password } });
    await other.dispose();
  }
});

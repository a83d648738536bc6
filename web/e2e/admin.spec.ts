import { readFile } from "node:fs/promises";

import { violations } from "./axe";
import { deleteNode, expect, makeNode, test } from "./fixtures";
import { until } from "./lab";

test("an administrator creates a user, limits, disables and deletes them, and the user sees only what is shared", async ({
  signedIn: page,
  browser,
  lab,
}) => {
  const hidden = await makeNode(page, "not-shared");
  const shared = await makeNode(page, "for-class");
  await page.goto("/admin");
  await expect(page).toHaveURL(/\/admin\/users$/);

  const dialog = page.getByRole("dialog");
  const password = await test.step("a user is created with a quota, and the password is shown once", async () => {
    await page.getByRole("button", { name: "Create user" }).click();
    await dialog.getByLabel("Name").fill("stu dent");
    await expect(dialog.getByText("Use letters, digits")).toBeVisible();
    await dialog.getByLabel("Name").fill("student-1");
    await dialog.getByLabel("Role").selectOption("Student");
    await dialog.getByRole("button", { name: "Quota" }).click();
    await dialog.getByLabel("Running nodes", { exact: true }).fill("2");
    await dialog.getByRole("button", { name: "Create user" }).click();
    const secret = (await dialog.locator("[data-secret]").textContent()) ?? "";
    expect(secret.length).toBeGreaterThan(11);
    await dialog.getByRole("button", { name: "Done" }).click();
    await expect(page.getByText(secret)).toHaveCount(0);
    return secret;
  });
  await test.step("a group is created with the user in it, and a node is shared with it", async () => {
    await page.getByRole("link", { name: "Groups" }).click();
    await page.getByRole("button", { name: "Create group" }).click();
    await dialog.getByLabel("Name").fill("class-a");
    await dialog.getByRole("button", { name: "Create group" }).click();
    await page.getByLabel("Add member to class-a").selectOption("student-1");
    await expect(page.locator("[data-group=class-a]")).toContainText("1 member");
    await page.goto(`/nodes/${shared.id}/sharing`);
    await page.getByLabel("Share with").selectOption("class-a");
    await page.getByRole("button", { name: "Share", exact: true }).click();
    await expect(page.locator("[data-share=class-a]")).toBeVisible();
  });

  const other = await browser.newContext({ baseURL: lab.url });
  const student = await other.newPage();
  await test.step("the student signs in, and sees only what is shared with them", async () => {
    await student.goto("/nodes");
    await student.getByLabel("User name").fill("student-1");
    await student.getByRole("textbox", { name: "Password" }).fill(password);
    await student.getByRole("button", { name: "Sign in", exact: true }).click();
    await student.getByLabel("Current password").fill(password); // the administrator knows it, so it must be changed first
    await student.getByLabel(/^New password(?! again)/).fill(`${password}-own`);
    await student.getByLabel("Confirm new password").fill(`${password}-own`);
    await student.getByRole("button", { name: "Change password" }).click();
    await expect(student.locator("[data-node=for-class]")).toBeVisible();
    await expect(student.locator("[data-node=not-shared]")).toHaveCount(0);
    await expect(student.getByRole("link", { name: "Admin" })).toHaveCount(0);
    await student.goto("/admin/users");
    await expect(student.getByRole("heading", { name: "No permission" })).toBeVisible();
    await student.goto(`/nodes/${hidden.id}`);
    await expect(student.getByText("not-shared")).toHaveCount(0);
    expect((await other.request.get("/api/users")).status()).toBe(403);
  });
  await test.step("the quota is changed, and usage is shown against it", async () => {
    await page.goto("/admin/users/student-1");
    await expect(page.getByText("0 of 2")).toBeVisible();
    await page.getByLabel("Nodes", { exact: true }).fill("-1");
    await expect(page.getByRole("button", { name: "Save quota" })).toBeDisabled();
    await page.getByLabel("Nodes", { exact: true }).fill("5");
    await page.getByLabel("Disks and images").fill("1.5");
    await page.getByRole("button", { name: "Save quota" }).click();
    await expect(page.getByText("0 of 5")).toBeVisible();
    await expect(page.getByText("0 B of 1.5 GiB")).toBeVisible();
  });
  await test.step("a new password ends the session", async () => {
    await page.getByRole("button", { name: "Reset password" }).click();
    await dialog.getByRole("button", { name: "Reset password" }).click();
    await expect(page.locator("[data-secret]")).toBeVisible();
    expect((await other.request.get("/api/auth/me")).status()).toBe(401);
  });
  await test.step("a disabled user can't sign in", async () => {
    const fresh = (await page.locator("[data-secret]").textContent()) ?? "";
    const signIn = () => other.request.post("/api/auth/login", { data: { username: "student-1", password: fresh } });
    expect((await signIn()).status()).toBe(200);
    await page.getByRole("button", { name: "Disable" }).click();
    await dialog.getByRole("button", { name: "Disable" }).click();
    await expect(page.getByText("Disabled", { exact: true })).toBeVisible();
    expect((await other.request.get("/api/auth/me")).status()).toBe(401);
    expect((await signIn()).status()).toBe(401);
  });
  await test.step("the audit log has all of it, is searched and exported", async () => {
    await page.getByRole("link", { name: "Audit", exact: true }).click();
    await page.getByLabel("Target").fill("student-1");
    await page.getByRole("button", { name: "Search" }).click();
    await expect(page.locator("[data-audit=create-user]")).toContainText("201");
    await expect(page).toHaveURL(/target=student-1/);
    const download = page.waitForEvent("download");
    await page.getByRole("link", { name: "CSV" }).click();
    const text = await readFile(await (await download).path(), "utf8");
    expect(text).toContain("create-user");
    expect(text).not.toContain(password);
  });
  await test.step("the user is deleted once the name is typed", async () => {
    await page.goto("/admin/users/student-1");
    await page.getByRole("button", { name: "Delete" }).click();
    const confirm = dialog.getByRole("button", { name: "Delete" });
    await expect(confirm).toBeDisabled();
    await dialog.getByRole("textbox").fill("student-1");
    await confirm.click();
    await expect(page).toHaveURL(/\/admin\/users$/);
    await expect(page.locator("[data-user=student-1]")).toHaveCount(0);
    await page.getByRole("link", { name: "Groups" }).click();
    await expect(page.locator("[data-group=class-a]")).toContainText("0 members");
    await page.getByRole("button", { name: "Delete class-a" }).click();
    await dialog.getByRole("textbox").fill("class-a");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect(page.locator("[data-group=class-a]")).toHaveCount(0);
  });
  await other.close();
  await deleteNode(page, hidden);
  await deleteNode(page, shared);
});

test("hosts are refreshed, and settings are shown without secrets", async ({ signedIn: page, lab }) => {
  await page.goto("/admin/hosts");
  const host = page.locator("[data-host-card=local]");
  await expect(host).toContainText("Connected");
  await lab.virsh("vol-create-as", "sandboxlabs-images", "found.qcow2", "64M", "--format", "qcow2");
  await host.getByRole("button", { name: "Refresh local" }).click();
  await expect(page.getByText("Pools of local refreshed")).toBeVisible();
  await page.goto("/images?q=found");
  await expect(page.locator("[data-image*=found]")).toBeVisible();
  await lab.virsh("vol-delete", "found.qcow2", "sandboxlabs-images");

  await page.goto("/admin/settings?q=hosts");
  const setting = page.locator("[data-setting=hosts]");
  await expect(setting).toContainText("local=qemu:///session");
  await expect(setting).toContainText("Environment");
  await page.goto("/admin/guacamole");
  await expect(page.getByRole("heading", { name: "Guacamole is not set up" })).toBeVisible();
});

test("changes that can be neither completed nor undone are shown with their reason, tried again and dropped", async ({
  signedIn: page,
  lab,
}) => {
  const node = await makeNode(page, "left-behind");
  const id = "01900000-0000-7000-8000-00000000e2e1";
  const data = JSON.stringify({ id: node.id, metadata: "<broken" });
  await lab.inDatabase(
    `INSERT INTO intents (id, kind, host, data, created, holder) VALUES ('${id}', 'snapshot.revert', 'local', '${data}', '2026-01-02 03:04:05+00:00', '')`,
  );
  await page.goto("/admin/hosts");
  const change = page.locator(`[data-change="${id}"]`);
  await expect(change).toContainText("Revert node left-behind", { timeout: 30_000 });
  await expect(change).toContainText("parse the node's metadata");
  await change.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByText("Couldn't finish: Revert node")).toBeVisible();
  await change.getByRole("button", { name: "Drop" }).click();
  expect(await violations(page)).toEqual([]);
  await page.getByRole("dialog").getByRole("button", { name: "Drop change" }).click();
  await expect(change).toHaveCount(0);
  await expect(page.getByText("1 unfinished change")).toHaveCount(0);
  await deleteNode(page, node);
});

test("an account is deleted, and what it owns is transferred to another one", async ({
  signedIn: page,
  browser,
  lab,
}) => {
  const password = "a password of the pair";
  for (const name of ["leaving", "staying"]) {
    const answer = await page.request.post("/api/users", {
      data: { name, role: "instructor", password, mustChangePassword: false },
    });
    expect(answer.status()).toBe(201);
  }
  const leaving = await browser.newContext({ baseURL: lab.url });
  try {
    expect((await leaving.request.post("/api/auth/login", { data: { username: "leaving", password } })).status()).toBe(
      200,
    );
    const node = await makeNode(leaving, "handed-over");
    expect((await leaving.request.post("/api/labs", { data: { name: "Handed over" } })).status()).toBe(201);
    await page.goto("/admin/users/leaving");
    await expect(page.getByText("1 (no limit)").first()).toBeVisible();
    await page.getByRole("button", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog", { name: "Delete leaving?" });
    const submit = dialog.getByRole("button", { name: "Delete account" });
    await expect(dialog.getByText("1 node: handed-over")).toBeVisible();
    await expect(dialog.getByText("1 lab: Handed over")).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await dialog.getByLabel("Type leaving to confirm").fill("leaving");
    await expect(submit).toBeDisabled(); // no new owner is selected
    await expect(dialog.getByLabel("New owner").getByRole("option", { name: "leaving" })).toHaveCount(0);
    await dialog.getByLabel("New owner").selectOption("staying");
    await submit.click();
    await expect(dialog).toHaveCount(0);
    await until("the account is gone", async () => (await page.request.get("/api/users/leaving")).status() === 404);
    const { owner } = (await (await page.request.get(`/api/nodes/${node.id}`)).json()) as { owner: string };
    expect(owner).toBe("staying");
    expect((await leaving.request.get("/api/auth/me")).status()).toBe(401);

    // The other account is deleted with everything.
    await page.goto("/admin/users/staying");
    await page.getByRole("button", { name: "Delete" }).click();
    const last = page.getByRole("dialog", { name: "Delete staying?" });
    await last.getByLabel("Delete everything, with all data").check();
    await last.getByLabel("Type staying to confirm").fill("staying");
    await last.getByRole("button", { name: "Delete account" }).click();
    await until("the node is gone", async () => (await page.request.get(`/api/nodes/${node.id}`)).status() === 404);
    await until("the account is gone", async () => (await page.request.get("/api/users/staying")).status() === 404);
  } finally {
    await leaving.close();
  }
});

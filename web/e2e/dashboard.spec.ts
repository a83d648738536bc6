import { deleteNode, expect, makeNode, test } from "./fixtures";

test("the dashboard shows nodes, activity and screens live", async ({ signedIn: page, lab }) => {
  const off = await makeNode(page, "dash-off");
  const on = await makeNode(page, "dash-on", { run: true, ram: 128 });
  try {
    await page.goto("/");
    await expect(page.locator("[data-count=running]")).toHaveText("1");
    await expect(page.locator("[data-count=stopped]")).toHaveText("1");
    await expect(page.locator("[data-host=local]")).toContainText("128 MiB of");
    await expect(page.locator("[data-screen-of=dash-on] [data-thumbnail=shown] img")).toBeVisible();
    await expect(page.getByRole("link", { name: "dash-on", exact: true })).toHaveCount(3); // created, started, screen

    await lab.virsh("destroy", "dash-on");
    await expect(page.locator("[data-count=stopped]")).toHaveText("2");
    await expect(page.getByText("dash-on stopped")).toBeVisible();
    await expect(page.locator("[data-screen-of]")).toHaveCount(0);
    await page.getByRole("link", { name: "Stopped" }).click();
    await expect(page).toHaveURL(/\/nodes\?state=stopped$/);
    await expect(page.locator("[data-node]")).toHaveCount(2);
  } finally {
    await deleteNode(page, on);
    await deleteNode(page, off);
  }
});

test("users who can't create nodes are led to the labs that are shared with them, also to empty ones", async ({
  signedIn: page,
  lab,
  browser,
}) => {
  const password = "a password of sue's own";
  expect(
    (
      await page.request.post("/api/users", {
        data: { name: "sue", role: "student", password, mustChangePassword: false },
      })
    ).status(),
  ).toBe(201);
  const made = (await (await page.request.post("/api/labs", { data: { name: "Empty" } })).json()) as { id: string };
  const context = await browser.newContext({ baseURL: lab.url });
  try {
    expect((await context.request.post("/api/auth/login", { data: { username: "sue", password } })).ok()).toBe(true);
    const student = await context.newPage();
    await student.goto("/");
    await expect(student.getByText("Nothing here yet")).toBeVisible();
    expect(
      (await page.request.put(`/api/labs/${made.id}/shares/users/sue`, { data: { level: "view" } })).status(),
    ).toBe(204);
    await expect(student.getByText("1 lab is shared with you.")).toBeVisible();
    await student.getByRole("link", { name: "View labs" }).click();
    await expect(student.locator("[data-lab=Empty]")).toBeVisible();
  } finally {
    await context.close();
    await page.request.delete(`/api/labs/${made.id}`);
    await page.request.delete("/api/users/sue");
  }
});

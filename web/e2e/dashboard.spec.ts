import { deleteNode, expect, makeNode, test } from "./fixtures";

test("the dashboard shows live what there is, what happens and each screen", async ({ signedIn: page, lab }) => {
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
    await expect(page.locator("[data-count=stopped]")).toHaveText("2", { timeout: 2_000 });
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

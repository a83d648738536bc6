import { deleteNode, expect, logIn, makeNode, terminal, test } from "./fixtures";

test("two viewers share a console, which reconnects after the service was unavailable", async ({
  signedIn: page,
  lab,
}) => {
  const node = await makeNode(page, "shared-1", { run: true });
  const status = page.locator("[data-console]");
  try {
    await page.goto(`/nodes/${node.id}/console`);
    await logIn(page);
    const second = await page.context().newPage();
    await second.goto(`/nodes/${node.id}/console`);
    await expect(second.locator("[data-console]")).toHaveAttribute("data-console", "connected");
    await expect(page.getByTitle("2 viewers")).toBeVisible();
    await expect(terminal(second)).toContainText("login: root"); // the history
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("echo both-$((40+2))\n");
    await expect(terminal(page)).toContainText("both-42");
    await expect(terminal(second)).toContainText("both-42");
    await second.close();

    await lab.stopService();
    await expect(status).toHaveAttribute("data-console", "reconnecting");
    await lab.serve();
    await page
      .getByRole("button", { name: "Reconnect now" })
      .click({ timeout: 1_000 })
      .catch(() => undefined); // or it was quicker
    await expect(status).toHaveAttribute("data-console", "connected", { timeout: 30_000 });
    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.type("echo again-$((40+2))\n");
    await expect(terminal(page)).toContainText("again-42");
  } finally {
    await deleteNode(page, node);
  }
});

test("a console that virsh uses is reported, and taken over", async ({ signedIn: page, lab }) => {
  const node = await makeNode(page, "taken-1", { run: true });
  const holder = await lab.holdConsole("taken-1");
  try {
    await page.goto(`/nodes/${node.id}/console`);
    const status = page.locator("[data-console]");
    await expect(status).toHaveAttribute("data-console", "taken");
    await page.getByRole("button", { name: "Take over" }).click();
    await expect(status).toHaveAttribute("data-console", "connected");
    await logIn(page);
  } finally {
    holder.kill();
    await deleteNode(page, node);
  }
});

test("special keys, text size and leaving by keyboard", async ({ signedIn: page }) => {
  const node = await makeNode(page, "keys-1", { run: true });
  try {
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`/nodes/${node.id}/console`);
    await logIn(page);
    // The guest drops what is typed ahead of a Control C: each step waits for the one before.
    await page.keyboard.type("echo first-$((1+1)); cat\n");
    await expect(terminal(page)).toContainText("first-2");
    await page.getByRole("button", { name: "Control C" }).click();
    await expect(terminal(page)).toContainText(/\^C\s*root@micro:~#/);
    await page.keyboard.type("echo after-$((40+2))\n");
    await expect(terminal(page)).toContainText("after-42");
    await page.keyboard.type("echo second-$((1+1)); cat\n");
    await expect(terminal(page)).toContainText("second-2");
    await page.getByRole("button", { name: "Ctrl, held until the next key" }).click();
    await page.keyboard.type("c");
    await expect(terminal(page)).toContainText(/second-2[^]*\^C\s*root@micro:~#/);
    await page.getByRole("button", { name: "Up", exact: true }).click();
    await page.getByRole("button", { name: "Up", exact: true }).click();
    await page.keyboard.type("\n");
    await expect(terminal(page)).toContainText(/after-42[^]*after-42/);

    const size = () => page.locator(".xterm-rows").evaluate((rows) => getComputedStyle(rows).fontSize);
    const before = parseFloat(await size());
    await page.getByRole("button", { name: "Larger text" }).click();
    await expect.poll(async () => parseFloat(await size())).toBe(before + 1);

    await page.locator(".xterm-helper-textarea").focus();
    await page.keyboard.press("Control+Shift+ArrowUp");
    await expect(page.getByRole("button", { name: "Smaller text" })).toBeFocused();
  } finally {
    await deleteNode(page, node);
  }
});

import { expect, logIn, terminal, test } from "./fixtures";

test("a node boots with the given host name", async ({ signedIn: page }) => {
  await page.goto("/nodes/new?image=micro");
  await page.getByRole("textbox", { name: "Name", exact: true }).fill("told-1");
  await page.getByRole("button", { name: "First boot (cloud-init)" }).click();
  const hostname = page.getByRole("textbox", { name: "Host name" });
  await hostname.fill("no_name");
  await expect(page.getByText("Enter a valid host name")).toBeVisible();
  await hostname.fill("web1.lab");
  await page.getByRole("textbox", { name: "SSH keys" }).fill("not a key");
  await expect(page.getByRole("button", { name: "Create and open console" })).toBeDisabled();
  await page.getByRole("textbox", { name: "SSH keys" }).fill("");
  await page.getByRole("textbox", { name: "User data" }).fill("#!/bin/sh\necho told-$((40+2)) > /tmp/told\n");
  await page.getByRole("button", { name: "Show command" }).click();
  await expect(page.getByText(`"cloudInit":{"hostname":"web1.lab","userData":"#!/bin/sh`)).toBeVisible();
  await page.getByRole("button", { name: "Create and open console" }).click();
  await expect(page).toHaveURL(/\/console$/);
  const id = page.url().split("/").at(-2) ?? "";
  try {
    await expect(terminal(page)).toContainText("web1", { timeout: 120_000 });
    await logIn(page);
    await page.keyboard.type("while [ ! -s /tmp/told ]; do sleep 1; done; hostname; cat /tmp/told\n");
    await expect(terminal(page)).toContainText(/web1(\.lab)?\s*told-42/);
  } finally {
    await page.request.delete(`/api/nodes/${id}`);
  }
});

test("sizes that are too large for the host are not offered", async ({ signedIn: page }) => {
  const { hosts } = (await (await page.request.get("/api/hosts")).json()) as { hosts: { cpus: number }[] };
  const most = hosts[0]?.cpus ?? 0;
  await page.goto("/nodes/new?image=micro");
  const cpus = page.getByRole("spinbutton", { name: "CPUs" });
  await expect(cpus).toHaveAttribute("max", String(most));
  await cpus.fill(String(most + 1));
  await expect(page.getByText(`At most ${most} on host "local".`)).toBeVisible();
  await expect(page.getByRole("button", { name: "Create", exact: true })).toBeDisabled();
  const large = page.getByRole("button", { name: /^Large/ });
  if (most < 4) {
    await expect(large).toBeDisabled();
    await expect(page.getByText("Large is not available: needs 4 CPUs")).toBeVisible();
  } else {
    await expect(large).toBeEnabled();
  }
});

import { createHmac } from "node:crypto";
import { copyFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import type { Page } from "@playwright/test";

import { violations } from "./axe";
import { deleteNode, dropFiles, expect, makeNode, test as base } from "./fixtures";
import { microImage } from "./lab";

// The service has an OpenID Connect provider. These tests only need browsers to reach it;
// TestProvider signs in at a complete one.
const test = base.extend({
  options: [
    // eslint-disable-next-line no-empty-pattern -- Playwright wants a pattern
    async ({}, use) => {
      const provider = createServer((request, response) => {
        const issuer = `http://${request.headers.host ?? ""}`;
        const isDiscovery = request.url === "/.well-known/openid-configuration";
        response.setHeader("Content-Type", isDiscovery ? "application/json" : "text/html");
        response.end(
          isDiscovery
            ? JSON.stringify({
                issuer,
                authorization_endpoint: `${issuer}/authorize`,
                token_endpoint: `${issuer}/token`,
                jwks_uri: `${issuer}/keys`,
                id_token_signing_alg_values_supported: ["RS256"],
              })
            : "<h1>Sign in at the school</h1>",
        );
      });
      await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
      await use({
        SANDBOXLABS_OIDC_ISSUER: `http://127.0.0.1:${(provider.address() as AddressInfo).port}`,
        SANDBOXLABS_OIDC_CLIENT_ID: "sandboxlabs",
        SANDBOXLABS_OIDC_CLIENT_SECRET: "a secret of the test",
        SANDBOXLABS_OIDC_NAME: "the school",
        SANDBOXLABS_OIDC_ROLES: "class=student",
      });
      provider.closeAllConnections();
      provider.close();
    },
    { scope: "worker" },
  ],
});

/** Returns the code that an authenticator app shows for a Base32 secret (RFC 6238). */
function codeOf(secret: string, periodsFromNow = 0): string {
  const bits = Array.from(secret, (letter) =>
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0"),
  ).join("");
  const key = Buffer.from(
    Array.from({ length: Math.floor(bits.length / 8) }, (_, i) => parseInt(bits.slice(i * 8, i * 8 + 8), 2)),
  );
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + periodsFromNow));
  const digest = createHmac("sha1", key).update(counter).digest();
  const number = digest.readUInt32BE((digest.at(-1) ?? 0) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

async function signIn(page: Page, username: string, password: string): Promise<void> {
  await page.getByLabel("User name").fill(username);
  await page.getByRole("textbox", { name: "Password" }).fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function signOut(page: Page): Promise<void> {
  await page.getByRole("button", { name: /^Account of/ }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).click();
}

test("a new user sets a password, sets up two-factor authentication and signs in with it", async ({ page, lab }) => {
  const admin = await page.context().browser()?.newContext({ baseURL: lab.url });
  await admin?.request.post("/api/auth/login", { data: { username: lab.user, password: lab.password } });
  const made = await admin?.request.post("/api/users", { data: { name: "ann", role: "student" } });
  expect(made?.status()).toBe(201);
  const { password: first } = (await made?.json()) as { password: string };
  const password = "a password of ann's own";
  try {
    await page.goto("/account");
    await expect(page).toHaveURL(/\/login\?next=%2Faccount$/);
    await signIn(page, "ann", first);
    await expect(page.getByRole("heading", { name: "Set a new password" })).toBeVisible();
    expect(await violations(page)).toEqual([]);
    await page.getByLabel("Current password").fill(first);
    await page.getByLabel(/^New password(?! again)/).fill(password);
    await page.getByLabel("Confirm new password").fill(password);
    await page.getByRole("button", { name: "Change password" }).click();

    await page.getByRole("button", { name: "Set up two-factor authentication" }).click();
    const dialog = page.getByRole("dialog");
    await expect(dialog.getByRole("img", { name: "QR code for the authenticator app" })).toBeVisible();
    expect(await violations(page)).toEqual([]);
    const secret = (await dialog.locator("[data-totp-secret]").textContent()) ?? "";
    await dialog.getByLabel("Code").fill("000000");
    await dialog.getByRole("button", { name: "Turn on" }).click();
    await expect(dialog.getByText("Two-factor authentication is still off")).toBeVisible();
    await dialog.getByLabel("Code").fill(codeOf(secret));
    await dialog.getByRole("button", { name: "Turn on" }).click();
    const codes = dialog.getByRole("list", { name: "Recovery codes" }).getByRole("listitem");
    await expect(codes).toHaveCount(10);
    expect(await violations(page)).toEqual([]);
    const recovery = (await codes.first().textContent()) ?? "";
    await dialog.getByRole("button", { name: "I've saved them" }).click();
    await expect(page.getByText("one of your 10 remaining recovery codes")).toBeVisible();

    // With a code, and with a recovery code.
    for (const code of [codeOf(secret, 1), recovery]) {
      await signOut(page);
      await signIn(page, "ann", password);
      await expect(page.getByLabel("Code")).toBeFocused();
      await expect(page.getByText("Sign-in failed")).toHaveCount(0);
      expect(await violations(page)).toEqual([]);
      await page.getByLabel("Code").fill("000000");
      await page.keyboard.press("Enter");
      await expect(page.getByText("Code incorrect or already used.")).toBeVisible();
      await page.getByLabel("Code").fill(code);
      await page.keyboard.press("Enter");
      await expect(page.getByRole("button", { name: "Account of ann" })).toBeVisible();
    }
    await page.goto("/account");
    await expect(page.getByText("one of your 9 remaining recovery codes")).toBeVisible();
    await page.getByRole("button", { name: "Turn off two-factor authentication" }).click();
    await dialog.getByLabel("Your password").fill(password);
    await dialog.getByRole("button", { name: "Turn off", exact: true }).click();
    await expect(page.getByRole("button", { name: "Set up two-factor authentication" })).toBeVisible();
  } finally {
    await admin?.request.delete("/api/users/ann");
    await admin?.close();
  }
});

test("a tab keeps its data for one user only, also after their session has expired", async ({
  signedIn: page,
  lab,
}, info) => {
  const password = "a password of bea's own";
  expect(
    (
      await page.request.post("/api/users", {
        data: { name: "bea", role: "student", password, mustChangePassword: false },
      })
    ).status(),
  ).toBe(201);
  const notes = info.outputPath("notes.qcow2");
  await writeFile(notes, "These are notes, not a disk.\n");
  const signInAsBea = async () => {
    await signIn(page, "bea", password);
    await expect(page.getByText("Nothing here yet")).toBeVisible();
    await expect(page.getByText("micro was added")).toBeVisible();
    await expect(page.getByText(/left-|notes\.qcow2/)).toHaveCount(0);
  };
  /** Expires the session without notifying the page. */
  const expire = async () => {
    expect((await page.request.post("/api/auth/logout")).ok()).toBe(true);
    await expect(page.getByLabel("User name")).toBeVisible();
  };

  await test.step("after a sign-out", async () => {
    await page.goto("/images");
    await dropFiles(page, [notes]);
    await expect(page.getByText("Couldn't upload notes.qcow2")).toBeVisible();
    await page.getByRole("link", { name: "Dashboard", exact: true }).click();
    const node = await makeNode(page, "left-1");
    await expect(page.getByText("left-1 was created")).toBeVisible();
    await deleteNode(page, node);
    await expect(page.getByText("left-1 was deleted")).toBeVisible();
    await expect(page.getByText("Couldn't upload notes.qcow2")).toBeVisible();
    await signOut(page);
    await expect(page).toHaveURL(/\/login$/);
    await signInAsBea();
    await signOut(page);
  });

  await test.step("after a session has expired", async () => {
    await signIn(page, lab.user, lab.password);
    await expect(page.getByRole("heading", { level: 1, name: "Dashboard" })).toBeVisible();
    const node = await makeNode(page, "left-2");
    await expect(page.getByText("left-2 was created")).toBeVisible();
    await deleteNode(page, node);
    await expect(page.getByText("left-2 was deleted")).toBeVisible();
    await expire();
    await signIn(page, lab.user, lab.password);
    await expect(page.getByText("left-2 was deleted")).toBeVisible();
    await expire();
    await signInAsBea();
  });

  await test.step("when another user signs in in another tab", async () => {
    expect((await page.request.post("/api/auth/logout")).ok()).toBe(true);
    expect(
      (await page.request.post("/api/auth/login", { data: { username: lab.user, password: lab.password } })).ok(),
    ).toBe(true);
    await expect(page.getByRole("button", { name: `Account of ${lab.user}` })).toBeVisible();
  });
  expect((await page.request.delete("/api/users/bea")).status()).toBe(204);
});

test("signing out during an upload asks for confirmation, and the upload can be resumed", async ({
  signedIn: page,
  lab,
}, info) => {
  const disk = info.outputPath("on its way.qcow2");
  await copyFile(microImage, disk);
  let isAskedByBrowser = false;
  page.on("dialog", (dialog) => {
    isAskedByBrowser = true;
    void dialog.accept();
  });
  // Only the first bytes of the file arrive.
  await page.route("**/api/uploads/*", (route) =>
    route.request().method() === "PATCH" ? undefined : route.continue(),
  );
  await page.goto("/images");
  await dropFiles(page, [disk]);
  const upload = page.locator("[data-upload='on its way.qcow2']");
  await expect(upload).toHaveAttribute("data-upload-state", "sending");
  const dialog = page.getByRole("dialog");
  await signOut(page);
  await expect(dialog).toContainText("Uploads in this tab will stop.");
  expect(await violations(page)).toEqual([]);
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await expect(upload).toHaveAttribute("data-upload-state", "sending");
  await signOut(page);
  await dialog.getByRole("button", { name: "Sign out" }).click();
  await signIn(page, lab.user, lab.password);
  expect(isAskedByBrowser).toBe(false);
  await page.getByRole("link", { name: "Images" }).click();
  const interrupted = page.locator("[data-interrupted='on its way.qcow2']");
  await interrupted.getByRole("button", { name: "Discard" }).click();
  await expect(interrupted).toHaveCount(0);
});

test("a failed sign-in at a provider is explained", async ({ page }) => {
  await page.goto("/login?problem=name_taken");
  await expect(page.getByText("isn't linked to you")).toBeVisible();
  await page.goto("/login?problem=%3Cb%3Ecall%20555-0100");
  await expect(page.getByText("Couldn't sign in at the provider.")).toBeVisible();
  await expect(page.getByText("555-0100")).toHaveCount(0);
});

test("the provider's button leads there with the page to return to", async ({ page, lab }) => {
  await page.goto("/nodes?state=running");
  await expect(page).toHaveURL(/\/login\?/);
  await page.getByRole("link", { name: /the school/ }).click();
  await expect(page.getByRole("heading", { name: "Sign in at the school" })).toBeVisible();
  const asked = new URL(page.url()).searchParams;
  expect(asked.get("client_id")).toBe("sandboxlabs");
  expect(asked.get("redirect_uri")).toBe(`${lab.url}/api/auth/oidc/callback`);
  expect(asked.get("code_challenge_method")).toBe("S256");
});

import { createHash } from "node:crypto";
import { copyFile, readFile, writeFile } from "node:fs/promises";

import { dropFiles, expect, test } from "./fixtures";
import { microImage } from "./lab";

test("dropped files are uploaded independently, and resumed after an interruption and a reload", async ({
  signedIn: page,
  lab,
}, info) => {
  const disk = info.outputPath("lab disk.qcow2");
  const notes = info.outputPath("notes.qcow2");
  await copyFile(microImage, disk);
  await writeFile(notes, "These are notes, not a disk.\n".repeat(10_000));
  const digest = createHash("sha256")
    .update(await readFile(disk))
    .digest("hex");
  const begun: string[] = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/api/uploads")) {
      begun.push(Buffer.from(request.headers()["upload-metadata"]?.split(" ")[1] ?? "", "base64").toString());
    }
  });
  page.on("dialog", (dialog) => void dialog.accept()); // asks whether to leave during an upload
  const network = await page.context().newCDPSession(page);
  const throttle = (uploadThroughput: number) =>
    network.send("Network.emulateNetworkConditions", {
      offline: false,
      latency: 0,
      downloadThroughput: -1,
      uploadThroughput,
    });
  const upload = page.locator("[data-upload='lab disk.qcow2']");
  const sentMiB = async () => Number(/([\d.]+) MiB of/.exec((await upload.textContent()) ?? "")?.[1] ?? 0);

  await page.goto("/images");
  await throttle(2 * 1024 * 1024);
  await dropFiles(page, [disk, notes]);
  await test.step("each shows its own outcome", async () => {
    await expect(page.getByText("Couldn't upload notes.qcow2")).toBeVisible();
    await expect(upload).toContainText(/MiB of [\d.]+ MiB, .*\/s, \d+ s left/);
    expect(begun.sort()).toEqual(["lab disk.qcow2", "notes.qcow2"]);
  });
  await test.step("it waits while the service is unavailable, and resumes automatically", async () => {
    await expect.poll(sentMiB).toBeGreaterThan(2);
    await lab.stopService("SIGKILL"); // Chromium's "offline" mode does not stop running requests
    await expect(upload).toHaveAttribute("data-upload-state", "interrupted");
    await expect(upload).toContainText("Connection lost. Reconnecting…");
    await lab.serve();
    await expect(upload).toHaveAttribute("data-upload-state", "sending");
  });
  await test.step("after a reload the same file is resumed", async () => {
    await expect.poll(sentMiB).toBeGreaterThan(6);
    await page.reload();
    const interrupted = page.locator("[data-interrupted='lab disk.qcow2']");
    await expect(interrupted).toContainText(/The upload of lab disk.qcow2 was interrupted/);
    const kept = Number(/([\d.]+) MiB of/.exec((await interrupted.textContent()) ?? "")?.[1]);
    expect(kept).toBeGreaterThan(1);
    await throttle(-1);
    await page.getByLabel("Select lab disk.qcow2 to resume its upload").setInputFiles(disk);
    await expect(upload).toContainText("Ready to use", { timeout: 60_000 });
    await expect(interrupted).toHaveCount(0);
    expect(begun).toHaveLength(2); // nothing was restarted
  });
  await test.step("what arrived is what was sent", async () => {
    await page.locator("[data-image='lab disk']").getByRole("link", { name: "lab disk", exact: true }).click();
    await expect(page.getByText(digest)).toBeVisible();
  });
  await test.step("it is renamed, and deleted by its new name", async () => {
    await page.getByRole("button", { name: "Actions for lab disk" }).click();
    await page.getByRole("menuitem", { name: /^Edit/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("Course disk");
    await dialog.getByLabel("Tags").fill("course-1, linux");
    await dialog.getByRole("button", { name: "Save" }).click();
    await expect(page.getByRole("heading", { level: 1, name: "Course disk" })).toBeVisible();
    await page.goto("/images?q=course-1");
    await page.getByRole("button", { name: "Actions for Course disk" }).click();
    await page.getByRole("menuitem", { name: "Delete" }).click();
    await dialog.getByRole("textbox").fill("Course disk");
    await dialog.getByRole("button", { name: "Delete" }).click();
    await expect(page.locator("[data-image='Course disk']")).toHaveCount(0);
  });
});

test("an interrupted upload is discarded", async ({ signedIn: page, lab }, info) => {
  const disk = info.outputPath("unwanted.qcow2");
  await copyFile(microImage, disk);
  page.on("dialog", (dialog) => void dialog.accept());
  const network = await page.context().newCDPSession(page);
  await network.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: 512 * 1024,
  });
  await page.goto("/images");
  await dropFiles(page, [disk]);
  await expect(page.locator("[data-upload='unwanted.qcow2']")).toContainText("left");
  await page.reload();
  const interrupted = page.locator("[data-interrupted='unwanted.qcow2']");
  await interrupted.getByRole("button", { name: "Discard" }).click();
  await expect(interrupted).toHaveCount(0);
  await expect(page.locator("[data-image='unwanted.qcow2']")).toHaveCount(0);
  expect(await lab.virsh("vol-list", "sandboxlabs-images")).not.toContain("unwanted");
});

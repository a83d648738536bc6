import { execFile } from "node:child_process";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { deleteNode, expect, test } from "./fixtures";
import { microImage } from "./lab";

const run = promisify(execFile);
const docs = join(import.meta.dirname, "..", "..", "docs");

/** Returns the commands of a guide: its code blocks in sh. */
async function commandsOf(guide: string): Promise<string> {
  const text = await readFile(join(docs, `${guide}.md`), "utf8");
  return [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, commands]) => commands).join("\n");
}

for (const [guide, expected] of [
  [
    "rest-by-example",
    [
      /"ok"/,
      /"node_not_found"/,
      /running/,
      /login:/,
      /example-1\t/,
      /"Course disk"/,
      /example-2/,
      /micro\tready/,
      /stopped/,
    ],
  ],
  ["users-and-sharing", [/student-1\t\S{12}/, /"class-a"/, /"running": 2/, /"nodes": 0/, /true/, /create-user/]],
] as const) {
  test(`the commands of ${guide} work as they are written`, async ({ signedIn: page, lab }, info) => {
    const token = await page.request.post("/api/tokens", { data: { name: guide } });
    const { secret } = (await token.json()) as { secret: string };
    const folder = info.outputPath("commands");
    await mkdir(folder, { recursive: true });
    await symlink(microImage, join(folder, "micro.qcow2"));
    await writeFile(join(folder, "guide.sh"), await commandsOf(guide));
    const { stdout } = await run("bash", ["-euo", "pipefail", "guide.sh"], {
      cwd: folder,
      env: { PATH: process.env.PATH, SANDBOXLABS_URL: lab.url, SANDBOXLABS_TOKEN: secret },
      timeout: 200_000,
    });
    for (const text of expected) {
      expect(stdout).toMatch(text);
    }
    // A guide leaves the nodes and images that it creates.
    const left = (await (await page.request.get("/api/nodes")).json()) as { nodes: { id: string }[] };
    for (const node of left.nodes) {
      await deleteNode(page, node);
    }
  });
}

test("the guides are read and searched within the UI", async ({ signedIn: page, lab }) => {
  page.on("request", (request) => expect(new URL(request.url()).origin).toBe(lab.url));
  await page.goto("/");
  await page.getByRole("button", { name: "Help" }).click();
  await expect(page.getByRole("menuitem", { name: "API documentation" })).toContainText("Reference of all requests");
  await page.getByRole("menuitem", { name: "All guides" }).click();
  await page.getByRole("textbox", { name: "Search guides" }).fill("quotas");
  await page.locator("[data-guide=users-and-sharing]").getByRole("link", { name: "Quotas" }).click();
  await expect(page).toHaveURL(/\/help\/users-and-sharing#quotas$/);
  await expect(page.getByRole("heading", { name: "Quotas" })).toBeInViewport();
  await page.getByRole("link", { name: "REST by example" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "REST by example" })).toBeVisible();
});

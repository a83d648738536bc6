import { type Page, test as base, expect } from "@playwright/test";

import { Lab } from "./lab";

interface WorkerFixtures {
  /** Whether the lab's libvirt can create networks, which requires root. */
  networks: boolean;
  lab: Lab;
  /** Additional environment variables of the lab's service. */
  options: NodeJS.ProcessEnv;
}

interface TestFixtures {
  /** Adds the service's log to the report of a failed test. */
  serviceLog: undefined;
  /** A page with a signed-in user. */
  signedIn: Page;
}

/** Tests with a lab that is started once per worker and file, and removed at the end, also after failures. */
export const test = base.extend<TestFixtures, WorkerFixtures>({
  networks: [false, { option: true, scope: "worker" }],
  options: [{}, { scope: "worker" }],
  lab: [
    async ({ networks, options }, use) => {
      const lab = await Lab.start({ networks, options });
      try {
        await use(lab);
      } finally {
        await lab.stop();
      }
    },
    { scope: "worker", timeout: 120_000 },
  ],
  serviceLog: [
    async ({ lab }, use, info) => {
      const before = lab.log.length;
      await use(undefined);
      if (info.status !== info.expectedStatus) {
        await info.attach("service.log", { body: lab.log.slice(before), contentType: "text/plain" });
      }
    },
    { auto: true },
  ],
  baseURL: async ({ lab }, use) => use(lab.url),
  signedIn: async ({ page, lab }, use) => {
    const answer = await page.request.post("/api/auth/login", {
      data: { username: lab.user, password: lab.password },
    });
    expect(answer.status()).toBe(200);
    await use(page);
  },
});

export { expect };

interface NodeBody {
  id: string;
  name: string;
}

/** Creates a node through the API, and starts it if run is set; RAM in MiB. */
export async function makeNode(
  page: Pick<Page, "request">,
  name: string,
  { run = false, ram = 256, cpus = 1 } = {},
): Promise<NodeBody> {
  const answer = await page.request.post("/api/nodes", {
    data: { name, image: "micro", resources: { ram, cpus } },
  });
  expect(answer.status(), await answer.text()).toBe(201);
  const node = (await answer.json()) as NodeBody;
  if (run) {
    expect((await page.request.post(`/api/nodes/${node.id}/run`)).status()).toBe(200);
  }
  return node;
}

/** Deletes a node through the API. */
export async function deleteNode(page: Pick<Page, "request">, { id }: Pick<NodeBody, "id">): Promise<void> {
  expect((await page.request.delete(`/api/nodes/${id}`)).status()).toBe(204);
}

/** Returns the terminal's contents. */
export function terminal(page: Page) {
  return page.locator(".xterm-rows");
}

/** Waits until the guest asks for a login, logs in as root and waits for the prompt. */
export async function logIn(page: Page): Promise<void> {
  await expect(terminal(page)).toContainText("login:", { timeout: 120_000 });
  await page.keyboard.type("root\n");
  await expect(terminal(page)).toContainText("#", { timeout: 30_000 });
}

/** Drops files onto the page's drop zone, as a user does from a file manager. */
export async function dropFiles(page: Page, files: readonly string[]): Promise<void> {
  // A file with a path can only get into a page through an input.
  await page.evaluate(() => {
    const input = document.createElement("input");
    input.type = "file";
    input.multiple = true;
    input.id = "files-to-drop";
    input.hidden = true;
    document.body.append(input);
  });
  await page.locator("#files-to-drop").setInputFiles([...files]);
  await page.locator(".sl-dropzone").evaluate((zone) => {
    const input = document.querySelector<HTMLInputElement>("#files-to-drop");
    const dataTransfer = new DataTransfer();
    for (const file of Array.from(input?.files ?? [])) {
      dataTransfer.items.add(file);
    }
    input?.remove();
    for (const type of ["dragenter", "dragover", "drop"]) {
      zone.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
    }
  });
}

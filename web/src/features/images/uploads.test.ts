// @vitest-environment jsdom
import { expect, test } from "vitest";

import { RequestError } from "../../shared/api/problem";
import type { Image } from "../../shared/api/types";
import type { UploadHandlers } from "./api/uploadImage";
import { Uploads } from "./uploads";

function heldUpload() {
  let handlers: UploadHandlers = { onProgress: () => undefined, onInterrupted: () => undefined };
  let resolve: (image: Image) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<Image>((onImage, onError) => {
    resolve = onImage;
    reject = onError;
  });
  let clock = 0;
  const uploads = new Uploads(
    (_file, on) => {
      handlers = on;
      return { finished: promise, cancel: () => reject(new RequestError("", "cancelled", 0)) };
    },
    () => clock,
  );
  return {
    uploads,
    resolve,
    reject,
    sent: (bytes: number, at: number) => {
      clock = at;
      handlers.onProgress(bytes);
    },
    interrupt: () => handlers.onInterrupted(),
  };
}

const file = new File(["12345678"], "disk.qcow2");

/** Lets settled promises continue. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

test("reports progress and rate, then the verification, then the image", async () => {
  const { uploads, sent, resolve } = heldUpload();
  const outcome = uploads.start(file);
  await settle();
  sent(4, 2000);
  expect(uploads.list()[0]).toMatchObject({ name: "disk.qcow2", size: 8, sent: 4, rate: 2, state: "sending" });
  expect(uploads.isBusy()).toBe(true);
  sent(8, 4000);
  expect(uploads.list()[0]?.state).toBe("checking");
  expect(uploads.isBusy()).toBe(false); // it may be left alone
  resolve({ id: "disk" } as Image);
  expect((await outcome)?.id).toBe("disk");
  expect(uploads.list()[0]).toMatchObject({ state: "done", image: { id: "disk" } });
  expect(uploads.isBusy()).toBe(false);
});

test("keeps a failed upload with its error until it is dismissed", async () => {
  const { uploads, reject } = heldUpload();
  const outcome = uploads.start(file);
  const error = new RequestError("It has a backing file.", "image_unsafe", 422);
  reject(error);
  expect(await outcome).toBeNull();
  const [failed] = uploads.list();
  expect(failed).toMatchObject({ state: "failed", error });
  uploads.dismiss(failed?.id ?? 0);
  expect(uploads.list()).toEqual([]);
});

test("a cancelled upload leaves the list", async () => {
  const { uploads } = heldUpload();
  const outcome = uploads.start(file);
  await settle();
  uploads.cancel(uploads.list()[0]?.id ?? 0);
  expect(await outcome).toBeNull();
  expect(uploads.list()).toEqual([]);
});

test("reports that the network is unavailable, and continues when it is back", async () => {
  const { uploads, sent, interrupt } = heldUpload();
  void uploads.start(file);
  await settle();
  sent(4, 2000);
  interrupt();
  expect(uploads.list()[0]).toMatchObject({ state: "interrupted", sent: 4, rate: 0 });
  expect(uploads.isBusy()).toBe(true);
  sent(5, 3000);
  expect(uploads.list()[0]?.state).toBe("sending");
});

test("sends three files at the same time, and the next one when one is sent", async () => {
  const begun: { name: string; on: UploadHandlers }[] = [];
  const uploads = new Uploads((sent, on) => {
    begun.push({ name: sent.name, on });
    return { finished: new Promise(() => undefined), cancel: () => undefined };
  });
  for (const name of ["a", "b", "c", "d", "e"]) {
    void uploads.start(new File(["12"], name));
  }
  await settle();
  expect(begun.map(({ name }) => name)).toEqual(["a", "b", "c"]);
  uploads.cancel(uploads.list()[3]?.id ?? 0);
  begun[1]?.on.onProgress(2);
  await settle();
  expect(begun.map(({ name }) => name)).toEqual(["a", "b", "c", "e"]);
  expect(uploads.list().map(({ name, state }) => `${name} ${state}`)).toEqual([
    "a sending",
    "b checking",
    "c sending",
    "e sending",
  ]);
});

// @vitest-environment jsdom
import { expect, test } from "vitest";

import { RequestError } from "../../shared/api/problem";
import type { Image } from "../../shared/api/types";
import { Uploads } from "./uploads";

function heldUpload() {
  let progress: (sent: number) => void = () => undefined;
  let resolve: (image: Image) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<Image>((onImage, onError) => {
    resolve = onImage;
    reject = onError;
  });
  let clock = 0;
  const uploads = new Uploads(
    (_file, onProgress) => {
      progress = onProgress;
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
      progress(bytes);
    },
  };
}

const file = new File(["12345678"], "disk.qcow2");

test("tells progress and rate, then that the service checks, then the image", async () => {
  const { uploads, sent, resolve } = heldUpload();
  const outcome = uploads.start(file);
  sent(4, 2000);
  expect(uploads.list()[0]).toMatchObject({ name: "disk.qcow2", size: 8, sent: 4, rate: 2, state: "sending" });
  expect(uploads.isBusy()).toBe(true);
  sent(8, 4000);
  expect(uploads.list()[0]?.state).toBe("checking");
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
  uploads.cancel(uploads.list()[0]?.id ?? 0);
  expect(await outcome).toBeNull();
  expect(uploads.list()).toEqual([]);
});

// @vitest-environment jsdom
import { expect, test } from "vitest";

import { StoredUploads, type TextStorage } from "./interrupted";

class Memory implements TextStorage {
  text: string | null = null;
  getItem = () => this.text;
  setItem = (_key: string, text: string) => void (this.text = text);
}

const now = 1_800_000_000_000;
const upload = { url: "/api/uploads/a", name: "disk.qcow2", size: 8, lastModified: 5, started: now };

test("an upload is found after a reload, but only for the same file", () => {
  const memory = new Memory();
  new StoredUploads(memory, now).put(upload);
  const later = new StoredUploads(memory, now + 60_000);
  expect(later.find({ name: "disk.qcow2", size: 8, lastModified: 5 })).toEqual(upload);
  expect(later.find({ name: "disk.qcow2", size: 8, lastModified: 6 })).toBeUndefined();
  later.remove(upload.url);
  expect(new StoredUploads(memory, now).list()).toEqual([]);
});
test("old uploads and invalid entries are dropped", () => {
  const memory = new Memory();
  memory.text = JSON.stringify([upload, { ...upload, url: "https://elsewhere/" }, 7, null]);
  expect(new StoredUploads(memory, now).list()).toEqual([upload]);
  expect(new StoredUploads(memory, now + 30 * 86_400_000).list()).toEqual([]);
  memory.text = "nonsense";
  expect(new StoredUploads(memory, now).list()).toEqual([]);
});
test("full or blocked storage does no harm", () => {
  const full: TextStorage = {
    getItem: () => null,
    setItem: () => {
      throw new Error("full");
    },
  };
  const stored = new StoredUploads(full, now);
  stored.put(upload);
  expect(stored.list()).toEqual([upload]);
});

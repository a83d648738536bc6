import { expect, test } from "vitest";

import { formatBytes, formatDuration, formatRAM, plural } from "./format";

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1 KiB"],
  [18_664_653, "17.8 MiB"],
  [512 * 1024 ** 2, "512 MiB"],
  [3.5 * 1024 ** 3, "3.5 GiB"],
  [2 ** 60, "1024 PiB"],
])("formatBytes(%d) is %s", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test.each([
  [256, "256 MiB"],
  [2048, "2 GiB"],
])("formatRAM(%d) is %s", (mebibytes, text) => expect(formatRAM(mebibytes)).toBe(text));

test.each([
  [-1, "0 s"],
  [8.4, "8 s"],
  [59.6, "1 min"],
  [180, "3 min"],
  [3600, "1 h"],
  [4800, "1 h 20 min"],
])("formatDuration(%d) is %s", (seconds, text) => expect(formatDuration(seconds)).toBe(text));

test("plural", () => {
  expect(plural(1, "CPU")).toBe("1 CPU");
  expect(plural(0, "CPU")).toBe("0 CPUs");
});

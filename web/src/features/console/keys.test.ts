import { expect, test } from "vitest";

import { keySequence, withCtrl } from "./keys";

test.each([
  ["Escape", false, "\x1b"],
  ["Up", false, "\x1b[A"],
  ["Left", true, "\x1bOD"],
  ["CtrlC", false, "\x03"],
] as const)("%s (application mode: %s)", (key, application, expected) => {
  expect(keySequence(key, application)).toBe(expected);
});

test.each([
  ["c", "\x03"],
  ["C", "\x03"],
  ["[", "\x1b"],
  [" ", "\0"],
  ["1", "1"],
  ["\x1b[A", "\x1b[A"],
])("Ctrl and %j", (text, expected) => {
  expect(withCtrl(text)).toBe(expected);
});

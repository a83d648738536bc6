import { describe, expect, test } from "vitest";

import { combinations, strokesOf, typedChange } from "./keys";

describe("strokesOf", () => {
  test("has a key for all printable ASCII characters", () => {
    const ascii = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join("");
    const { strokes, missing } = strokesOf(ascii);
    expect(missing).toBe("");
    expect(strokes.map(({ keysym }) => String.fromCharCode(keysym)).join("")).toBe(ascii);
  });

  test.each([
    ["a", "KeyA", false],
    ["A", "KeyA", true],
    ["0", "Digit0", false],
    [")", "Digit0", true],
    ["@", "Digit2", true],
    [" ", "Space", false],
    ["\\", "Backslash", false],
    ['"', "Quote", true],
    ["\n", "Enter", false],
    ["\r\n", "Enter", false],
  ])("%j is %s, shift %s", (character, code, shift) => {
    expect(strokesOf(character).strokes).toMatchObject([{ code, shift }]);
  });

  test("lists characters without a key, each once", () => {
    const { strokes, missing } = strokesOf("äaä€");
    expect(missing).toBe("ä€");
    expect(strokes).toHaveLength(1);
  });
});

test.each([
  ["", "a", 0, "a"],
  ["ab", "abc", 0, "c"],
  ["abc", "ab", 1, ""],
  ["the", "then ", 0, "n "],
  ["teh", "the", 2, "he"],
  ["x😀", "x", 1, ""],
])("from %j to %j", (before, after, removed, added) => {
  expect(typedChange(before, after)).toEqual({ removed, added });
});

test("F keys have X11's numbers", () => {
  expect(combinations.find(({ name }) => name === "Ctrl+Alt+F1")?.keys.at(-1)).toEqual({ keysym: 0xffbe, code: "F1" });
  expect(combinations.find(({ name }) => name === "F12")?.keys).toEqual([{ keysym: 0xffc9, code: "F12" }]);
});

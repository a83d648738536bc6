import { describe, expect, test } from "vitest";

import { expiryOf, isExpired, passwordProblems, tokenNameProblem } from "./account";

const now = Date.UTC(2026, 0, 31, 12);

test("tokens expire after days, or never", () => {
  expect(expiryOf(30, now)).toBe("2026-03-02T12:00:00.000Z");
  expect(expiryOf(0, now)).toBeUndefined();
  expect(isExpired("2026-01-31T12:00:00Z", now)).toBe(true);
  expect(isExpired("2026-01-31T12:00:01Z", now)).toBe(false);
  expect(isExpired(undefined, now)).toBe(false);
});

test.each([
  ["ci", ""],
  [" ", "Give the token a name."],
  ["ü".repeat(65), "Use at most 128 bytes."],
])("tokenNameProblem(%j)", (name, problem) => {
  expect(tokenNameProblem(name)).toBe(problem);
});

describe("passwordProblems", () => {
  const good = { current: "the old password", fresh: "a new password", again: "a new password" };
  test("finds none in a good change", () => {
    expect(passwordProblems(good)).toEqual({ fresh: "", again: "" });
  });
  test.each([
    [{ fresh: "short", again: "short" }, { fresh: "Use at least 12 characters.", again: "" }],
    [{ fresh: "x".repeat(1025), again: "x".repeat(1025) }, { fresh: "Use at most 1024 bytes.", again: "" }],
    [{ fresh: good.current, again: good.current }, { fresh: "Choose another password than the present one.", again: "" }],
    [{ again: "a new passwort" }, { fresh: "", again: "The two are not the same." }],
  ])("%j", (change, problems) => {
    expect(passwordProblems({ ...good, ...change })).toEqual(problems);
  });
});

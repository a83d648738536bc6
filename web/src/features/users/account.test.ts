import { expect, test } from "vitest";

import { makePassword, nameProblem } from "./account";

test.each([
  ["alice", ""],
  ["a.b+c@example.org", ""],
  ["", "Enter a name."],
  ["Bob", "The name is taken."],
  ["two words", "Use letters, digits, ., -, _, + and @; at most 64."],
  ["x".repeat(65), "Use letters, digits, ., -, _, + and @; at most 64."],
])("nameProblem(%s)", (name, problem) => {
  expect(nameProblem(name, ["bob"])).toBe(problem);
});

test("passwords are long, and never the same", () => {
  const made = new Set(Array.from({ length: 100 }, makePassword));
  expect(made.size).toBe(100);
  for (const password of made) {
    expect(password).toMatch(/^[a-zA-Z2-9]{20}$/);
  }
});

// @vitest-environment jsdom
import { expect, test } from "vitest";

import { xmlProblem } from "./problem";

test("a domain is fine", () => {
  expect(xmlProblem(`<domain type="kvm"><name>a</name></domain>`)).toBe("");
});
test("what is not well-formed is told", () => {
  expect(xmlProblem("<domain>\n  <name>a</nam>\n</domain>")).not.toBe("");
  expect(xmlProblem("")).not.toBe("");
});
test("another document is told", () => {
  expect(xmlProblem("<network/>")).toBe("The outermost element is network; a domain's is domain.");
});

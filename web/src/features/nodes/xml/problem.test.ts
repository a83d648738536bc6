// @vitest-environment jsdom
import { expect, test } from "vitest";

import { xmlProblem } from "./problem";

test("a domain is valid", () => {
  expect(xmlProblem(`<domain type="kvm"><name>a</name></domain>`)).toBe("");
});
test("XML that is not well-formed is reported", () => {
  expect(xmlProblem("<domain>\n  <name>a</nam>\n</domain>")).not.toBe("");
  expect(xmlProblem("")).not.toBe("");
});
test("another root element is reported", () => {
  expect(xmlProblem("<network/>")).toBe("The root element must be <domain>.");
});

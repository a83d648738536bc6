import { expect, test } from "vitest";

import { providerProblem, safeNext } from "./next";

test.each([
  [null, "/"],
  ["/nodes/1/console?full=1", "/nodes/1/console?full=1"],
  ["/nodes?q=a//b", "/nodes?q=a//b"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["/\t/evil.example", "/"],
  ["/\n/evil.example", "/"],
  ["/x\\..\\evil.example", "/"],
  ["https://evil.example", "/"],
  ["javascript:alert(1)", "/"],
  ["nodes", "/"],
  ["", "/"],
  ["/login?next=/", "/"],
  ["/api/auth/oidc/login", "/"],
  ["/x/../api/docs", "/"],
])("safeNext(%j) is %j", (next, expected) => {
  expect(safeNext(next)).toBe(expected);
});

test("a provider's problem is shown only with predefined texts", () => {
  expect(providerProblem("forbidden")).toContain("groups");
  expect(providerProblem("<b>call 555-0100</b>")).not.toContain("555");
  expect(providerProblem(null)).not.toBe("");
});

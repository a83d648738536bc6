import { expect, test } from "vitest";

import { safeNext } from "./next";

test.each([
  [null, "/"],
  ["/nodes/1/console?full=1", "/nodes/1/console?full=1"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["https://evil.example", "/"],
  ["/login?next=/", "/"],
])("safeNext(%j) is %j", (next, expected) => {
  expect(safeNext(next)).toBe(expected);
});

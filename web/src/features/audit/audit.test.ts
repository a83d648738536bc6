import { expect, test } from "vitest";

import { exportURL, queryOf, readFilter } from "./audit";

const none = { user: "", action: "", target: "", from: "", to: "" };

test("a filter is parsed from the URL and trimmed", () => {
  expect(readFilter(new URLSearchParams("user=alice&from=2026-01-31&page=2"))).toEqual({
    ...none,
    user: "alice",
    from: "2026-01-31",
  });
  expect(queryOf({ ...none, user: " alice ", target: "  " })).toEqual({ user: "alice" });
});
test("the last day is included", () => {
  const { since, until } = queryOf({ ...none, from: "2026-01-31", to: "2026-01-31" });
  expect(new Date(since ?? "").getTime()).toBe(new Date(2026, 0, 31).getTime());
  expect(new Date(until ?? "").getTime()).toBe(new Date(2026, 1, 1).getTime());
});
test("invalid dates are omitted", () => {
  expect(queryOf({ ...none, from: "yesterday" })).toEqual({});
});
test("the export uses the same filter", () => {
  expect(exportURL({ ...none, user: "a&b" }, "csv")).toBe("/api/audit/export?user=a%26b&format=csv");
});

import { expect, test } from "vitest";

import { boundProblem, draftOf, quotaOf, shareOf, usageOf } from "./quota";

test("a quota is not changed by its form", () => {
  const quota = { nodes: 10, running: 0, ram: 4096, disk: 1.5 * 1024 ** 3 };
  expect(draftOf(quota)).toMatchObject({ nodes: "10", running: "0", cpus: "", disk: "1.5" });
  expect(quotaOf(draftOf(quota))).toEqual(quota);
  expect(quotaOf(draftOf(undefined))).toEqual({});
});

test.each([
  ["nodes", "", ""],
  ["nodes", "3", ""],
  ["disk", "1.5", ""],
  ["nodes", "1.5", "Enter a whole number."],
  ["nodes", "-1", "Enter a number, or leave empty for no limit."],
  ["ram", "much", "Enter a number, or leave empty for no limit."],
] as const)("boundProblem(%s, %s)", (name, text, problem) => {
  expect(boundProblem(name, text)).toBe(problem);
});

test("usage is shown against its limit, if there is one", () => {
  const [nodes, running, , ram] = usageOf({
    quota: { nodes: 4, running: 0 },
    used: { nodes: 3, running: 0, ram: 2048 },
  });
  expect(nodes).toMatchObject({ text: "3 of 4", most: 4 });
  expect(ram?.text).toBe("2 GiB");
  expect([nodes, running, ram].map((usage) => usage && shareOf(usage))).toEqual([0.75, 1, 0]);
  expect(usageOf({})).toEqual([]);
});

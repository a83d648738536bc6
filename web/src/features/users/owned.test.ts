import { expect, test } from "vitest";

import { ownedLines } from "./owned";

const things = (count: number) => Array.from({ length: count }, (_, i) => ({ id: String(i), name: `n${i}` }));

test("what an account owns is listed by kind, with some names", () => {
  const nothing = { nodes: [], images: [], labs: [], networks: [], uploads: 0, jobs: 0 };
  expect(ownedLines(nothing)).toEqual([]);
  expect(ownedLines({ ...nothing, nodes: things(1), networks: things(7), uploads: 2, jobs: 1 })).toEqual([
    { what: "1 node", names: "n0" },
    { what: "7 networks", names: "n0, n1, n2, n3, n4, 2 more" },
    { what: "2 unfinished uploads", names: "" },
    { what: "1 running task", names: "" },
  ]);
});

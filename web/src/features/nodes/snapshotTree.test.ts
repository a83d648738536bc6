import { expect, test } from "vitest";

import type { Snapshot } from "../../shared/api/types";
import { type Branch, snapshotNameProblem, treeOf } from "./snapshotTree";

const snapshot = (name: string, parent?: string) => ({ name, parent }) as Snapshot;
const draw = (branches: Branch[]): string =>
  branches.map(({ snapshot: { name }, children }) => `${name}(${draw(children)})`).join("");

test("nests children below their parents", () => {
  expect(draw(treeOf([snapshot("a"), snapshot("b", "a"), snapshot("c", "b"), snapshot("d", "a")]))).toBe(
    "a(b(c())d())",
  );
});
test("keeps snapshots whose parent was deleted", () => {
  expect(draw(treeOf([snapshot("b", "a"), snapshot("c", "b"), snapshot("x", "x")]))).toBe("b(c())x()");
});
test("checks names", () => {
  expect(snapshotNameProblem("", ["a"])).toBe("");
  expect(snapshotNameProblem("before.update-1", ["a"])).toBe("");
  expect(snapshotNameProblem("a", ["a"])).not.toBe("");
  expect(snapshotNameProblem("../a", [])).not.toBe("");
});

import { expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { draftOf, editOf, editProblems, tagsIn, whenResized } from "./edit";

const gibibyte = 1024 ** 3;
const node = {
  resources: { ram: 512, cpus: 1, disk: gibibyte }, tags: ["web"], description: "", autostart: false,
} as unknown as Node;
const draft = draftOf(node);

test("an unchanged draft changes nothing", () => {
  expect(editOf(draft, node)).toEqual({});
  expect(Object.values(editProblems(draft, node)).join("")).toBe("");
});
test("only what differs is sent", () => {
  expect(editOf({ ...draft, ram: "1024", disk: "2.5", tags: "web, db ,web", autostart: true }, node)).toEqual({
    resources: { ram: 1024, disk: 2.5 * gibibyte },
    tags: ["web", "db"],
    autostart: true,
  });
  expect(editOf({ ...draft, tags: "" }, node)).toEqual({ tags: [] });
});
test("a disk only grows", () => {
  expect(editProblems({ ...draft, disk: "0.5" }, node).disk).toBe("A disk only grows: give at least 1 GiB.");
  expect(editProblems({ ...draft, disk: "much" }, node).disk).toBe("Give a number of GiB.");
});
test("a disk of an odd size that is left alone is no problem", () => {
  const odd = { ...node, resources: { ...node.resources, disk: 536_870_913 } };
  expect(editProblems(draftOf(odd), odd).disk).toBe("");
});
test("what the node has at its next start is what is changed", () => {
  const resized = { ...node, next: { ram: 1024, cpus: 2 } };
  expect(draftOf(resized)).toMatchObject({ ram: "1024", cpus: "2" });
});
test("tags are bounded", () => {
  expect(tagsIn(" a,,b , a")).toEqual(["a", "b"]);
  expect(editProblems({ ...draft, tags: "x".repeat(65) }, node).tags).not.toBe("");
});
test("says when the new sizes are there", () => {
  expect(whenResized({ resize: [] })).toBe("");
  expect(whenResized({ resize: [{ what: "ram", when: "live" }, { what: "cpus", when: "nextBoot" }] })).toBe(
    "New RAM at once, new CPUs at the next start",
  );
});

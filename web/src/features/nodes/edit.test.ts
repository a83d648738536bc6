import { expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { draftOf, editOf, editProblems, tagsIn, whenResized } from "./edit";

const gibibyte = 1024 ** 3;
const node = {
  resources: { ram: 512, cpus: 1, disk: gibibyte },
  tags: ["web"],
  description: "",
  autostart: false,
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
test("a disk can't be reduced", () => {
  expect(editProblems({ ...draft, disk: "0.5" }, node).disk).toBe("Can't be reduced. Enter at least 1 GiB.");
  expect(editProblems({ ...draft, disk: "much" }, node).disk).toBe("Enter a number of GiB.");
});
test("an unusual disk size is valid if it is not changed", () => {
  const odd = { ...node, resources: { ...node.resources, disk: 536_870_913 } };
  expect(editProblems(draftOf(odd), odd).disk).toBe("");
});
test("the values for the next start are edited", () => {
  const resized = { ...node, next: { ram: 1024, cpus: 2 } };
  expect(draftOf(resized)).toMatchObject({ ram: "1024", cpus: "2" });
});
test("tags are limited", () => {
  expect(tagsIn(" a,,b , a")).toEqual(["a", "b"]);
  expect(editProblems({ ...draft, tags: "x".repeat(65) }, node).tags).not.toBe("");
});
test("says when the new sizes take effect", () => {
  expect(whenResized({ resize: [] })).toBe("");
  expect(
    whenResized({
      resize: [
        { what: "ram", when: "live" },
        { what: "cpus", when: "nextBoot" },
      ],
    }),
  ).toBe("New RAM now, new CPUs at next start");
});

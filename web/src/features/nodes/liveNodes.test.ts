import { expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import type { Change } from "../../shared/live/changes";
import { applyToNode, applyToNodes } from "./liveNodes";

const node = (id: string, state: Node["state"]) => ({ id, name: id, state, host: "local" }) as Node;
const nodes = [node("a", "stopped"), node("b", "stopped")];

test("a changed node replaces the old one", () => {
  const next = applyToNodes(nodes, { type: "node.changed", node: node("b", "running") });
  expect(next.map(({ state }) => state)).toEqual(["stopped", "running"]);
});
test("an unknown node is added", () => {
  expect(applyToNodes(nodes, { type: "node.changed", node: node("c", "running") })).toHaveLength(3);
});
test("a removed node is removed from the list", () => {
  expect(applyToNodes(nodes, { type: "node.removed", id: "a", host: "local" })).toEqual([nodes[1]]);
});
test("a node that moved to another host is kept", () => {
  const moved = { ...node("a", "running"), host: "other" };
  const next = applyToNodes([moved], { type: "node.removed", id: "a", host: "local" });
  expect(next).toEqual([moved]);
  expect(applyToNode("a", moved, { type: "node.removed", id: "a", host: "local" })).toBe(moved);
});
test("other changes return the same list", () => {
  const change: Change = { type: "image.removed", id: "micro", host: "local" };
  expect(applyToNodes(nodes, change)).toBe(nodes);
});
test("one node only follows its own changes", () => {
  const [a = null] = nodes;
  expect(applyToNode("a", a, { type: "node.changed", node: node("b", "running") })).toBe(a);
  expect(applyToNode("a", a, { type: "node.changed", node: node("a", "running") })?.state).toBe("running");
  expect(applyToNode("a", a, { type: "node.removed", id: "a", host: "local" })).toBeNull();
});

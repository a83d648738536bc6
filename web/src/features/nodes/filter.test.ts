import { expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { filterNodes } from "./filter";

const node = (name: string, state: Node["state"], more: Partial<Node> = {}) =>
  ({ id: `id-${name}`, name, state, host: "local", addresses: [], tags: [], ...more }) as unknown as Node;

const nodes = [
  node("web10", "running", { addresses: ["192.168.122.17"] }),
  node("web2", "stopped"),
  node("db", "paused", { image: { type: "base", id: "micro", name: "Micro", path: "", size: 1 } }),
];
const names = (found: Node[]) => found.map(({ name }) => name);

test("sorts by name as people count", () => {
  expect(names(filterNodes(nodes, "", "all"))).toEqual(["db", "web2", "web10"]);
});
test("finds every word, in any field", () => {
  expect(names(filterNodes(nodes, "WEB 122.17", "all"))).toEqual(["web10"]);
  expect(names(filterNodes(nodes, "micro", "all"))).toEqual(["db"]);
  expect(names(filterNodes(nodes, "web micro", "all"))).toEqual([]);
});
test("narrows to a state", () => {
  expect(names(filterNodes(nodes, "", "stopped"))).toEqual(["web2"]);
  expect(names(filterNodes(nodes, "", "other"))).toEqual(["db"]);
});

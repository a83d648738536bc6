import { expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { choicesOf, filterNodes, readFilter } from "./filter";

const node = (name: string, state: Node["state"], more: Partial<Node> = {}) =>
  ({
    id: `id-${name}`,
    name,
    state,
    managed: true,
    owner: "",
    host: "local",
    description: "",
    addresses: [],
    tags: [],
    ...more,
  }) as unknown as Node;

const nodes = [
  node("web10", "running", { addresses: ["192.168.122.17"], owner: "ann", tags: ["web", "course"] }),
  node("web2", "stopped", { host: "far", tags: ["web"], managed: false }),
  node("db", "paused", { image: { type: "base", id: "micro", name: "Micro", path: "", size: 1 } }),
];
const found = (address: string) => filterNodes(nodes, readFilter(new URLSearchParams(address))).map(({ name }) => name);

test("sorts names in natural order", () => {
  expect(found("")).toEqual(["db", "web2", "web10"]);
});
test("finds every word, in any field", () => {
  expect(found("q=WEB+122.17")).toEqual(["web10"]);
  expect(found("q=micro")).toEqual(["db"]);
  expect(found("q=ann")).toEqual(["web10"]);
  expect(found("q=web+micro")).toEqual([]);
});
test("filters by state", () => {
  expect(found("state=stopped")).toEqual(["web2"]);
  expect(found("state=other")).toEqual(["db"]);
  expect(found("state=nonsense")).toHaveLength(3);
});
test("filters by each facet, and by several at the same time", () => {
  expect(found("owner=ann")).toEqual(["web10"]);
  expect(found("image=micro")).toEqual(["db"]);
  expect(found("host=far")).toEqual(["web2"]);
  expect(found("tag=web")).toEqual(["web2", "web10"]);
  expect(found("origin=elsewhere")).toEqual(["web2"]);
  expect(found("tag=web&origin=here")).toEqual(["web10"]);
  expect(found("tag=we")).toEqual([]);
});
test("offers the existing values and the selected one", () => {
  expect(choicesOf("tag", nodes, "")).toEqual([
    { value: "course", name: "course", count: 1 },
    { value: "web", name: "web", count: 2 },
  ]);
  expect(choicesOf("image", nodes, "")).toEqual([{ value: "micro", name: "Micro", count: 1 }]);
  expect(choicesOf("owner", nodes, "bob").map(({ value, count }) => [value, count])).toEqual([
    ["ann", 1],
    ["bob", 0],
  ]);
});

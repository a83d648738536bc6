import { expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { each, targetsOf } from "./bulk";

const node = (name: string, state: Node["state"], more: Partial<Node> = {}) =>
  ({ id: name, name, state, managed: true, persistent: true, access: "manage", ...more }) as Node;

test("an action is applied to the nodes that allow it", () => {
  const nodes = [
    node("on", "running"),
    node("off", "stopped"),
    node("theirs", "stopped", { managed: false }),
    node("seen", "stopped", { access: "view" }),
  ];
  const names = (action: Parameters<typeof targetsOf>[0]) => targetsOf(action, nodes).map(({ name }) => name);
  expect(names("run")).toEqual(["off", "theirs"]);
  expect(names("stop")).toEqual(["on"]);
  expect(names("delete")).toEqual(["on", "off"]);
});

test("each node is processed once, a few at a time, and each failure is reported", async () => {
  const nodes = Array.from({ length: 10 }, (_, index) => node(`n${index}`, "stopped"));
  let now = 0;
  let most = 0;
  const done: string[] = [];
  const outcomes = await each(nodes, async ({ name }) => {
    most = Math.max(most, ++now);
    await Promise.resolve();
    now--;
    done.push(name);
    if (name === "n3") {
      throw new Error("disk full");
    }
  });
  expect(most).toBe(4);
  expect(done.toSorted()).toEqual(nodes.map(({ name }) => name).toSorted());
  expect(outcomes.map(({ node: { name } }) => name)).toEqual(nodes.map(({ name }) => name));
  expect(outcomes.filter(({ error }) => error !== undefined).map(({ node: { name } }) => name)).toEqual(["n3"]);
});

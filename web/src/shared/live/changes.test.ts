import { expect, test } from "vitest";

import type { Node } from "../api/types";
import { type Change, ChangeLog, parseChange } from "./changes";

const removed = (id: string): Change => ({ type: "node.removed", id, host: "local" });

test.each([
  ["node.changed", `{"id":"1","name":"n"}`, { type: "node.changed", node: { id: "1", name: "n" } }],
  ["image.changed", `{"id":"micro"}`, { type: "image.changed", image: { id: "micro" } }],
  ["job.changed", `{"id":"7"}`, { type: "job.changed", job: { id: "7" } }],
  ["job.changed", `{}`, null],
  ["lab.changed", `{"id":"7"}`, { type: "lab.changed", id: "7" }],
  ["lab.removed", `{"id":7}`, null],
  ["node.removed", `{"id":"1","host":"local"}`, removed("1")],
  ["image.removed", `{"id":"1","host":"local"}`, { type: "image.removed", id: "1", host: "local" }],
  ["host.changed", `{"host":"local"}`, { type: "host.changed", host: "local" }],
  ["node.removed", `{"id":1}`, null],
  ["node.changed", `{}`, null],
  ["host.changed", `null`, null],
  ["host.changed", `nonsense`, null],
] as const)("parseChange(%s, %s)", (type, data, expected) => {
  expect(parseChange(type, data)).toEqual(expected);
});

test("reconcile applies the changes that arrive during the request, and no older ones", async () => {
  const log = new ChangeLog();
  log.add(removed("old"));
  const list = await log.reconcile(
    () => {
      log.add(removed("new"));
      return Promise.resolve([{ id: "old" }, { id: "new" }] as Node[]);
    },
    (nodes, change) => nodes.filter((node) => change.type !== "node.removed" || node.id !== change.id),
  );
  expect(list.map(({ id }) => id)).toEqual(["old"]);
});

test("a position stays valid when old changes are dropped", () => {
  const log = new ChangeLog();
  const start = log.mark();
  for (let number = 0; number < 600; number++) {
    log.add(removed(String(number)));
  }
  const mark = log.mark();
  log.add(removed("last"));
  expect(log.since(mark)).toEqual([removed("last")]);
  expect(log.since(start)).toHaveLength(512);
});

import { expect, test } from "vitest";

import type { Image, Node } from "../shared/api/types";
import { Activity, happeningOf, happeningsOf } from "./activity";

const node = (change: Partial<Node>) => ({ id: "n", name: "web", host: "local", state: "running", ...change }) as Node;
const image = (change: Partial<Image>) =>
  ({ id: "i", name: "disk_1.qcow2", host: "local", state: "ready", ...change }) as Image;

test("a node that stops is listed, one that only changes is not", () => {
  const stopped = { type: "node.changed", node: node({ state: "stopped" }) } as const;
  expect(happeningOf(stopped, node({}), 5)).toMatchObject({ at: 5, id: "n", name: "web", what: "stopped", mood: "ok" });
  expect(happeningOf(stopped, node({ state: "stopped" }), 5)).toBeNull();
  expect(happeningOf(stopped, undefined, 5)).toBeNull();
});

test("a node that starts is only listed by its start time", () => {
  expect(happeningOf({ type: "node.changed", node: node({}) }, node({ state: "stopped" }), 5)).toBeNull();
  const started = "2026-01-01T00:00:01Z";
  expect(happeningsOf([node({ started })], [])).toEqual([
    { at: Date.parse(started), kind: "node", id: "n", name: "web", what: "started", mood: "ok" },
  ]);
  expect(happeningsOf([node({ started, state: "stopped" })], [])).toEqual([]);
});

test("what is deleted or rejected is listed with its last name", () => {
  expect(happeningOf({ type: "node.removed", id: "n", host: "local" }, node({}), 1)).toMatchObject({
    name: "web",
    mood: "gone",
  });
  expect(happeningOf({ type: "image.removed", id: "i", host: "local" }, image({ displayName: "Disk" }), 1)?.name).toBe(
    "Disk",
  );
  const rejected = { type: "image.changed", image: image({ state: "rejected" }) } as const;
  expect(happeningOf(rejected, image({ state: "verifying" }), 1)).toMatchObject({ name: "disk_1.qcow2", mood: "bad" });
  expect(happeningOf(rejected, image({ state: "rejected" }), 1)).toBeNull();
});

test("the latest entries are kept, latest first", () => {
  const activity = new Activity();
  for (let at = 0; at < 60; at++) {
    activity.add({ at, kind: "node", id: "n", name: "web", what: "stopped", mood: "ok" });
  }
  expect(activity.list()).toHaveLength(50);
  expect(activity.list()[0]?.at).toBe(59);
});

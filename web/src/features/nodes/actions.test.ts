import { describe, expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { type NodeAction, isOffered } from "./actions";

const all: NodeAction[] = [
  "run",
  "stop",
  "reboot",
  "pause",
  "resume",
  "suspend",
  "reset",
  "forceOff",
  "discardSavedState",
  "edit",
  "rename",
  "clone",
  "makeImage",
  "adopt",
  "wipe",
  "delete",
];

function offered(state: Node["state"], managed: boolean, access: Node["access"] = "manage"): NodeAction[] {
  const node = { id: "1", name: "n", state, managed, access, persistent: true } as Node;
  return all.filter((action) => isOffered(action, node));
}

describe("isOffered", () => {
  test("a stopped managed node", () => {
    expect(offered("stopped", true)).toEqual(["run", "edit", "rename", "clone", "makeImage", "wipe", "delete"]);
  });
  test("a running managed node", () => {
    expect(offered("running", true)).toEqual([
      "stop",
      "reboot",
      "pause",
      "suspend",
      "reset",
      "forceOff",
      "edit",
      "clone",
      "wipe",
      "delete",
    ]);
  });
  test("an unmanaged node can't be wiped or deleted before it is adopted", () => {
    expect(offered("running", false)).toEqual(["stop", "reboot", "pause", "suspend", "reset", "forceOff", "adopt"]);
    expect(offered("stopped", false)).toEqual(["run", "rename", "adopt"]);
  });
  test("a saved node can be started, deleted, or lose its saved state", () => {
    const node = {
      id: "1",
      name: "n",
      state: "stopped",
      savedState: true,
      managed: true,
      access: "manage",
      persistent: true,
    } as Node;
    expect(all.filter((action) => isOffered(action, node))).toEqual(["run", "discardSavedState", "wipe", "delete"]);
    expect(all.filter((action) => isOffered(action, { ...node, managed: false }))).toEqual(["run"]);
  });
  test("a node on an unreachable host has no actions", () => {
    expect(offered("unreachable", true)).toEqual([]);
  });
  test("a node that hangs while stopping can be forced off", () => {
    expect(offered("stopping", true)).toContain("forceOff");
  });
  test("a crashed node that libvirt preserves can be forced off", () => {
    const node = { id: "1", name: "n", state: "crashed", managed: true, access: "use", persistent: true } as Node;
    expect(isOffered("forceOff", node)).toBe(false);
    expect(isOffered("forceOff", { ...node, vnc: { port: 5900 } })).toBe(true);
  });
  test("a user that it is shared with can do what the share allows", () => {
    expect(offered("stopped", true, "use")).toEqual(["run", "wipe"]);
    expect(offered("running", true, "view")).toEqual([]);
  });
});

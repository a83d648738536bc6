import { describe, expect, test } from "vitest";

import type { Node } from "../../shared/api/types";
import { type NodeAction, isOffered } from "./actions";

const all: NodeAction[] = [
  "run", "stop", "reboot", "pause", "resume", "suspend", "reset", "forceOff", "discardSavedState", "edit", "rename", "clone", "makeImage", "adopt", "wipe", "delete",
];

function offered(state: Node["state"], managed: boolean, access: Node["access"] = "manage"): NodeAction[] {
  const node = { id: "1", name: "n", state, managed, access, persistent: true } as Node;
  return all.filter((action) => isOffered(action, node));
}

describe("isOffered", () => {
  test("a stopped node of ours", () => {
    expect(offered("stopped", true)).toEqual(["run", "edit", "rename", "clone", "makeImage", "wipe", "delete"]);
  });
  test("a running node of ours", () => {
    expect(offered("running", true)).toEqual(["stop", "reboot", "pause", "suspend", "reset", "forceOff", "edit", "clone", "wipe", "delete"]);
  });
  test("a node defined elsewhere is neither wiped nor deleted before it is adopted", () => {
    expect(offered("running", false)).toEqual(["stop", "reboot", "pause", "suspend", "reset", "forceOff", "adopt"]);
    expect(offered("stopped", false)).toEqual(["run", "rename", "adopt"]);
  });
  test("a saved node is run, loses its saved state, or is taken away", () => {
    const node = { id: "1", name: "n", state: "stopped", savedState: true, managed: true, access: "manage", persistent: true } as Node;
    expect(all.filter((action) => isOffered(action, node))).toEqual(["run", "discardSavedState", "wipe", "delete"]);
    expect(all.filter((action) => isOffered(action, { ...node, managed: false }))).toEqual(["run"]);
  });
  test("nothing can be done to a node on a host that does not answer", () => {
    expect(offered("unreachable", true)).toEqual([]);
  });
  test("a node that hangs while stopping can be forced off", () => {
    expect(offered("stopping", true)).toContain("forceOff");
  });
  test("a node that libvirt keeps as it was when it crashed can be forced off", () => {
    const node = { id: "1", name: "n", state: "crashed", managed: true, access: "use", persistent: true } as Node;
    expect(isOffered("forceOff", node)).toBe(false);
    expect(isOffered("forceOff", { ...node, vnc: { port: 5900 } })).toBe(true);
  });
  test("somebody with whom it is shared does what the share allows", () => {
    expect(offered("stopped", true, "use")).toEqual(["run", "wipe"]);
    expect(offered("running", true, "view")).toEqual([]);
  });
});

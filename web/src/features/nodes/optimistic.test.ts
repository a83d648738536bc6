import { describe, expect, it } from "vitest";

import type { Node } from "../../shared/api/types";
import { applyPending, applyPendingToAll } from "./optimistic";

const node = (id: string, state: Node["state"]) => ({ id, name: id, state, tags: ["old"], description: "" }) as Node;

describe("a node with a change in progress", () => {
  it("is shown as after the change", () => {
    expect(applyPending(node("a", "stopped"), [{ id: "a", lifecycle: "run" }]).state).toBe("starting");
    expect(applyPending(node("a", "running"), [{ id: "a", lifecycle: "stop" }]).state).toBe("stopping");
    expect(applyPending(node("a", "stopped"), [{ id: "a", edit: { name: "b", tags: [] } }])).toMatchObject({
      name: "b",
      tags: [],
      description: "",
    });
  });
  it("is not reset by an event in the meantime", () => {
    expect(applyPending(node("a", "running"), [{ id: "a", lifecycle: "run" }]).state).toBe("running");
    expect(applyPending(node("a", "stopped"), [{ id: "a", lifecycle: "stop" }]).state).toBe("stopped");
  });
  it("does not show uncertain results, or changes of other nodes", () => {
    const it = node("a", "running");
    expect(
      applyPending(it, [
        { id: "b", lifecycle: "stop" },
        { id: "a", lifecycle: "reboot" },
        { id: "a", edit: { resources: { ram: 1 } } },
      ]),
    ).toEqual(it);
  });
});

describe("the list with changes in progress", () => {
  it("omits nodes that are being deleted, and is the same without changes", () => {
    const list = [node("a", "stopped"), node("b", "stopped")];
    expect(applyPendingToAll(list, [{ id: "a", remove: true }]).map(({ id }) => id)).toEqual(["b"]);
    expect(applyPendingToAll(list, [])).toBe(list);
  });
});

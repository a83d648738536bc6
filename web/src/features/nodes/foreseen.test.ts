import { describe, expect, it } from "vitest";

import type { Node } from "../../shared/api/types";
import { foreseen, foreseenList } from "./foreseen";

const node = (id: string, state: Node["state"]) => ({ id, name: id, state, tags: ["old"], description: "" }) as Node;

describe("a node while a change of it is under way", () => {
  it("is shown as it will be", () => {
    expect(foreseen(node("a", "stopped"), [{ id: "a", lifecycle: "run" }]).state).toBe("starting");
    expect(foreseen(node("a", "running"), [{ id: "a", lifecycle: "stop" }]).state).toBe("stopping");
    expect(foreseen(node("a", "stopped"), [{ id: "a", edit: { name: "b", tags: [] } }])).toMatchObject({ name: "b", tags: [], description: "" });
  });
  it("is not put back by what an event told meanwhile", () => {
    expect(foreseen(node("a", "running"), [{ id: "a", lifecycle: "run" }]).state).toBe("running");
    expect(foreseen(node("a", "stopped"), [{ id: "a", lifecycle: "stop" }]).state).toBe("stopped");
  });
  it("tells nothing of what may come out otherwise, or of other nodes", () => {
    const it = node("a", "running");
    expect(foreseen(it, [{ id: "b", lifecycle: "stop" }, { id: "a", lifecycle: "reboot" }, { id: "a", edit: { resources: { ram: 1 } } }])).toEqual(it);
  });
});

describe("the list while changes are under way", () => {
  it("is without what is being deleted, and the very same when nothing is", () => {
    const list = [node("a", "stopped"), node("b", "stopped")];
    expect(foreseenList(list, [{ id: "a", remove: true }]).map(({ id }) => id)).toEqual(["b"]);
    expect(foreseenList(list, [])).toBe(list);
  });
});

import { useSyncExternalStore } from "react";

import type { Image, Node, NodeState } from "../shared/api/types";
import type { Change } from "../shared/live/changes";

/** Something that happened to a node or an image. */
export interface Happening {
  /** Milliseconds since 1970. */
  at: number;
  kind: "node" | "image";
  id: string;
  name: string;
  /** What happened to the subject: "started". */
  what: string;
  /** ok: as intended; bad: something failed; gone: the subject no longer exists. */
  mood: "ok" | "bad" | "gone";
}

const remembered = 50;

const becomes: Partial<Record<NodeState, Pick<Happening, "what" | "mood">>> = {
  stopped: { what: "stopped", mood: "ok" },
  paused: { what: "was paused", mood: "ok" },
  crashed: { what: "crashed", mood: "bad" },
  unreachable: { what: "is unreachable", mood: "bad" },
};

/** Returns the activity that a change stands for; null when it is not worth a line or follows from the subject's own timestamps. */
export function happeningOf(change: Change, before: Node | Image | undefined, at: number): Happening | null {
  switch (change.type) {
    case "node.changed": {
      const { id, name, state } = change.node;
      const line = becomes[state];
      return before && before.state !== state && line ? { at, kind: "node", id, name, ...line } : null;
    }
    case "node.removed":
      return before ? { at, kind: "node", id: change.id, name: before.name, what: "was deleted", mood: "gone" } : null;
    case "image.changed": {
      const { id, name, displayName, state } = change.image;
      return state === "rejected" && before?.state !== "rejected"
        ? { at, kind: "image", id, name: displayName || name, what: "was rejected", mood: "bad" }
        : null;
    }
    case "image.removed":
      return before
        ? { at, kind: "image", id: change.id, name: imageName(before), what: "was deleted", mood: "gone" }
        : null;
    default:
      return null;
  }
}

/** The activity that follows from the timestamps of nodes and images: when they were created and last started. */
export function happeningsOf(nodes: readonly Node[], images: readonly Image[]): Happening[] {
  const line = (kind: Happening["kind"], id: string, name: string, what: string, time: string | undefined) =>
    time === undefined || !(Date.parse(time) > 0)
      ? []
      : [{ at: Date.parse(time), kind, id, name, what, mood: "ok" as const }];
  return [
    ...nodes.flatMap(({ id, name, created, started, state }) => [
      ...line("node", id, name, "was created", created),
      ...(state === "stopped" ? [] : line("node", id, name, "started", started)),
    ]),
    ...images.flatMap((image) => line("image", image.id, imageName(image), "was added", image.created)),
  ];
}

function imageName(image: object): string {
  const { displayName, name } = image as Partial<Image>;
  return displayName || (name ?? "");
}

/** What happened while this tab was open, latest first. */
export class Activity {
  private happenings: readonly Happening[] = [];
  private listeners = new Set<() => void>();

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  list = (): readonly Happening[] => this.happenings;

  add(happening: Happening | null): void {
    if (!happening) {
      return;
    }
    this.happenings = [happening, ...this.happenings].slice(0, remembered);
    for (const listener of this.listeners) {
      listener();
    }
  }
}

/** The activity that the event feed writes and the dashboard shows. */
export const activity = new Activity();

export function useActivity(): readonly Happening[] {
  return useSyncExternalStore(activity.subscribe, activity.list);
}

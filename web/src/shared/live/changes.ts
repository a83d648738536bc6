import type { Image, Job, Node } from "../api/types";

/** One change from the service's event stream. */
export type Change =
  | { type: "node.changed"; node: Node }
  | { type: "node.removed"; id: string; host: string }
  | { type: "image.changed"; image: Image }
  | { type: "image.removed"; id: string; host: string }
  | { type: "job.changed"; job: Job }
  /** Names the host; its new state must be requested. */
  | { type: "host.changed"; host: string }
  /** Names the lab; its new state must be requested. */
  | { type: "lab.changed" | "lab.removed"; id: string };

/** The event names of changes; "reset" is not a change, but means that everything must be reloaded. */
export const changeTypes = [
  "node.changed",
  "node.removed",
  "image.changed",
  "image.removed",
  "job.changed",
  "host.changed",
  "lab.changed",
  "lab.removed",
] as const;

/** Parses one event; null if its data does not match its name. */
export function parseChange(type: (typeof changeTypes)[number], data: string): Change | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) {
    return null;
  }
  // Except for hosts, the data is the changed object itself.
  switch (type) {
    case "node.changed":
      return "id" in value ? { type, node: value as Node } : null;
    case "image.changed":
      return "id" in value ? { type, image: value as Image } : null;
    case "job.changed":
      return "id" in value ? { type, job: value as Job } : null;
    case "node.removed":
    case "image.removed":
      return has(value, "id") && has(value, "host") ? { type, id: value.id, host: value.host } : null;
    case "host.changed":
      return has(value, "host") ? { type, host: value.host } : null;
    case "lab.changed":
    case "lab.removed":
      return has(value, "id") ? { type, id: value.id } : null;
  }
}

function has<Key extends string>(value: object, key: Key): value is Record<Key, string> {
  return typeof (value as Record<string, unknown>)[key] === "string";
}

const remembered = 512;

/**
 * Remembers the latest changes, so that a list that was requested before a change and arrives
 * after it does not undo the change.
 */
export class ChangeLog {
  private changes: Change[] = [];
  private dropped = 0;
  private listeners = new Set<(change: Change | "reset") => void>();

  /** Calls listener with each change, and with "reset" when some may have been missed, until the returned function is called. */
  subscribe(listener: (change: Change | "reset") => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Notifies the listeners that changes may have been missed. */
  reset(): void {
    this.tell("reset");
  }

  add(change: Change): void {
    this.changes.push(change);
    this.tell(change);
    if (this.changes.length > remembered) {
      this.changes.shift();
      this.dropped++;
    }
  }

  private tell(change: Change | "reset"): void {
    for (const listener of [...this.listeners]) {
      listener(change);
    }
  }

  /** The position of the next change: pass it to since. */
  mark(): number {
    return this.dropped + this.changes.length;
  }

  /** Returns the changes since a position, as far as they are remembered. */
  since(mark: number): readonly Change[] {
    return this.changes.slice(Math.max(0, mark - this.dropped));
  }

  /**
   * Runs fetch and applies the changes that arrived meanwhile. A change that the response
   * already contains is applied twice, which is harmless: each carries the whole new state.
   */
  async reconcile<T>(fetch: () => Promise<T>, apply: (value: T, change: Change) => T): Promise<T> {
    const mark = this.mark();
    const value = await fetch();
    return this.since(mark).reduce(apply, value);
  }
}

/** The log that the event feed writes to and the lists read from. */
export const changeLog = new ChangeLog();

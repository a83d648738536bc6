import type { Image, Job, Node } from "../api/types";

/** One change that the service told of on its event stream. */
export type Change =
  | { type: "node.changed"; node: Node }
  | { type: "node.removed"; id: string; host: string }
  | { type: "image.changed"; image: Image }
  | { type: "image.removed"; id: string; host: string }
  | { type: "job.changed"; job: Job }
  /** Says which host; what became of it is to be read. */
  | { type: "host.changed"; host: string }
  /** Says which lab; what became of it is to be read. */
  | { type: "lab.changed" | "lab.removed"; id: string };

/** The event names of changes; "reset" is no change, but the order to read everything anew. */
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

/** Reads one event; null when its data is not what its name promises. */
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
  // The data of what has changed, but of a host, is the thing itself.
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
 * Remembers the latest changes, so that a list which was requested before a
 * change and arrives after it does not undo it.
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

  /** Tells that changes may have been missed. */
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

  /** The changes from a mark on, as far as they are remembered. */
  since(mark: number): readonly Change[] {
    return this.changes.slice(Math.max(0, mark - this.dropped));
  }

  /**
   * Runs fetch and applies the changes that came while it was under way. A
   * change that the answer holds already is applied twice, which is harmless:
   * each carries the whole new state.
   */
  async reconcile<T>(fetch: () => Promise<T>, apply: (value: T, change: Change) => T): Promise<T> {
    const mark = this.mark();
    const value = await fetch();
    return this.since(mark).reduce(apply, value);
  }
}

/** The log that the event feed writes and every list reads. */
export const changeLog = new ChangeLog();

import { atBase } from "../../shared/base";
import { type ConsoleStatus, type ControlMessage, parseControl } from "./protocol";

/** The WebSocket to the service. gone: the node was deleted. closed: close was called. */
export type Link = "connecting" | "open" | "reconnecting" | "gone" | "closed";
/** The node's end. taken: another program, such as virsh console, holds it. unknown: the service has not said yet. */
export type Guest = "unknown" | ConsoleStatus;

/** All that a console's surroundings show. A new object with each change. */
export interface ConsoleState {
  link: Link;
  guest: Guest;
  /** The node is paused: it reads nothing of what is typed. */
  paused: boolean;
  /** How many browsers look at this console, this one included; 0 while unknown. */
  viewers: number;
  /** Bytes of output that were left out because this browser was too slow. */
  lostBytes: number;
  /** Who took the console back from another program last; empty when nobody did. */
  takenBackBy: string;
  /** What the service said was wrong last: why it ended the connection, or did not take what was typed. */
  problem: string;
}

/** Where output goes. */
export interface Screen {
  write: (bytes: Uint8Array) => void;
  /** Called on each new connection, before the history that the service replays. */
  reset: () => void;
}

const firstRetry = 500;
const lastRetry = 10_000;
/** The service's close code for a node that was deleted. */
const nodeGone = 4404;
/** The largest frame sent; the service takes 256 KiB. */
const frameBytes = 32 * 1024;
const initial: ConsoleState = { link: "connecting", guest: "unknown", paused: false, viewers: 0, lostBytes: 0, takenBackBy: "", problem: "" };

/**
 * One node's serial console: it connects when opened, comes back by itself
 * when the connection is lost, and ends with close. It may be opened again
 * after close.
 */
export class ConsoleSession {
  private socket: WebSocket | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retry = firstRetry;
  private current = initial;
  private listeners = new Set<() => void>();
  private screens = new Set<Screen>();
  private size: { cols: number; rows: number } | undefined;
  private typed = false;
  private readOnly = false;

  constructor(
    private readonly url: string,
    private readonly connect: (url: string) => WebSocket = (target) => new WebSocket(target),
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  state = (): ConsoleState => this.current;

  /** Sends output to screen until the returned function is called. */
  attach(screen: Screen): () => void {
    this.screens.add(screen);
    return () => this.screens.delete(screen);
  }

  open(): void {
    this.become(initial);
    this.dial();
    window.addEventListener("online", this.reconnectNow);
  }

  close(): void {
    window.removeEventListener("online", this.reconnectNow);
    clearTimeout(this.timer);
    this.drop();
    this.become({ ...initial, link: "closed" });
  }

  /** Ends the pause before the next attempt to connect. */
  reconnectNow = (): void => {
    if (this.current.link === "reconnecting") {
      clearTimeout(this.timer);
      this.drop();
      this.dial();
    }
  };

  /** Watches alone from now on, or may type again: on a connection of that kind, when one is there already. */
  setReadOnly(readOnly: boolean): void {
    if (readOnly === this.readOnly) {
      return;
    }
    this.readOnly = readOnly;
    if (this.current.link === "open" || this.current.link === "connecting") {
      this.drop();
      this.dial();
    }
  }

  /** Sends what the user typed. It is lost while the connection is. */
  type(bytes: Uint8Array<ArrayBuffer>): void {
    if (!this.readOnly && this.socket?.readyState === WebSocket.OPEN) {
      this.typed = true;
      if (this.current.problem !== "") {
        this.become({ ...this.current, problem: "" });
      }
      for (let at = 0; at < bytes.length; at += frameBytes) {
        this.socket.send(bytes.subarray(at, at + frameBytes));
      }
    }
  }

  /**
   * Whether the terminal may answer queries of the guest (such as for the
   * cursor's position). Only after the user typed something into this very
   * connection: queries in the replayed history were answered long ago, and
   * of several viewers only the one at work should answer.
   */
  mayAnswer(): boolean {
    return this.typed;
  }

  /** Tells the size of the screen, now and after each new connection. */
  resize(cols: number, rows: number): void {
    this.size = { cols, rows };
    this.control({ type: "resize", cols, rows });
  }

  /** Takes the console from the program that holds it. */
  take(): void {
    this.control({ type: "take" });
  }

  /** Stops telling who took the console back. */
  forgetTaker(): void {
    this.become({ ...this.current, takenBackBy: "" });
  }

  /** Stops telling of output that was left out so far. */
  forgetLoss(): void {
    this.become({ ...this.current, lostBytes: 0 });
  }

  private control(message: ControlMessage): void {
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.socket.send(JSON.stringify(message));
    }
  }

  private dial(): void {
    const socket = this.connect(this.readOnly ? `${this.url}&readonly=true` : this.url);
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.retry = firstRetry;
      this.typed = false;
      for (const screen of this.screens) {
        screen.reset();
      }
      this.become({ ...initial, link: "open" });
      if (this.size) {
        this.control({ type: "resize", ...this.size });
      }
    };
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (typeof data === "string") {
        this.receive(data);
        return;
      }
      const bytes = new Uint8Array(data);
      for (const screen of this.screens) {
        screen.write(bytes);
      }
    };
    socket.onclose = ({ code, reason }) => {
      const lost = { ...this.current, guest: "unknown", paused: false, viewers: 0, problem: reason } as const;
      if (code === nodeGone) {
        this.become({ ...lost, link: "gone" });
        return;
      }
      this.become({ ...lost, link: "reconnecting" });
      this.timer = setTimeout(() => this.dial(), this.retry);
      this.retry = Math.min(this.retry * 2, lastRetry);
    };
  }

  /** Forgets the socket: whatever still comes from it is ignored. */
  private drop(): void {
    const socket = this.socket;
    this.socket = undefined;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  private receive(text: string): void {
    const message = parseControl(text);
    switch (message?.type) {
      case "status":
        this.become({ ...this.current, guest: message.state, paused: message.paused, takenBackBy: message.by });
        break;
      case "viewers":
        this.become({ ...this.current, viewers: message.count });
        break;
      case "lagged":
        this.become({ ...this.current, lostBytes: this.current.lostBytes + message.bytes });
        break;
      case "error":
        this.become({ ...this.current, problem: message.message });
        break;
      case undefined: // from a newer service: nothing we know how to show
    }
  }

  private become(state: ConsoleState): void {
    this.current = state;
    for (const listener of this.listeners) {
      listener();
    }
  }
}

/** The address of one port of a node's console, on the origin that the page came from; of the first without port. */
export function consoleURL(origin: string, nodeID: string, port?: string): string {
  const url = new URL(atBase("/ws/console"), origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("nodeId", nodeID);
  if (port !== undefined) {
    url.searchParams.set("port", port);
  }
  return url.toString();
}

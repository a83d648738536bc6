import { atBase } from "../../shared/base";
import { type ConsoleStatus, type ControlMessage, parseControl } from "./protocol";

/** The WebSocket to the service. gone: the node was deleted. closed: close was called. */
export type Link = "connecting" | "open" | "reconnecting" | "gone" | "closed";
/** The console on the node's side. taken: another program, such as virsh console, uses it. unknown: the service has not reported it yet. */
export type Guest = "unknown" | ConsoleStatus;

/** The state that the UI around a console shows. Each change creates a new object. */
export interface ConsoleState {
  link: Link;
  guest: Guest;
  /** The node is paused and reads no input. */
  paused: boolean;
  /** Number of browsers that show this console, including this one; 0 while unknown. */
  viewers: number;
  /** Bytes of output that were skipped because this browser was too slow. */
  lostBytes: number;
  /** Who last took over the console from another program; empty if no one did. */
  takenBackBy: string;
  /** The last error from the service: why it closed the connection or rejected input. */
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
/** The close code for a deleted node. */
const nodeGone = 4404;
/** The largest frame to send; the service accepts 256 KiB. */
const frameBytes = 32 * 1024;
const initial: ConsoleState = {
  link: "connecting",
  guest: "unknown",
  paused: false,
  viewers: 0,
  lostBytes: 0,
  takenBackBy: "",
  problem: "",
};

/**
 * A connection to one node's serial console: open connects, lost connections are restored
 * automatically, and close ends it. It can be opened again after close.
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

  /** Writes output to the screen until the returned function is called. */
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

  /** Connects immediately instead of waiting for the next attempt. */
  reconnectNow = (): void => {
    if (this.current.link === "reconnecting") {
      clearTimeout(this.timer);
      this.drop();
      this.dial();
    }
  };

  /** Switches between view-only and typing; an open connection is replaced by one of that kind. */
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

  /** Sends the user's input, which is lost while disconnected. */
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
   * Whether the terminal may answer queries of the guest (for example the cursor position). Only
   * after the user typed something into this connection: queries in the replayed history were
   * answered before, and of several viewers only the active one should answer.
   */
  mayAnswer(): boolean {
    return this.typed;
  }

  /** Sends the size of the screen, now and after each reconnect. */
  resize(cols: number, rows: number): void {
    this.size = { cols, rows };
    this.control({ type: "resize", cols, rows });
  }

  /** Takes over the console from the program that uses it. */
  take(): void {
    this.control({ type: "take" });
  }

  /** Dismisses the notice about who took over the console. */
  forgetTaker(): void {
    this.become({ ...this.current, takenBackBy: "" });
  }

  /** Dismisses the notice about skipped output. */
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

  /** Detaches from the socket: what still arrives on it is ignored. */
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
      case undefined: // from a newer service: unknown here
    }
  }

  private become(state: ConsoleState): void {
    this.current = state;
    for (const listener of this.listeners) {
      listener();
    }
  }
}

/** Returns the URL of a port of a node's console, on the page's origin; the first port if none is given. */
export function consoleURL(origin: string, nodeID: string, port?: string): string {
  const url = new URL(atBase("/ws/console"), origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("nodeId", nodeID);
  if (port !== undefined) {
    url.searchParams.set("port", port);
  }
  return url.toString();
}

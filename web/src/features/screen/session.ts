import { atBase } from "../../shared/base";

/**
 * off: the node is stopped; the screen reconnects when it runs. refused: the node has no display.
 * gone: the node was deleted. closed: close was called.
 */
export type Link = "connecting" | "open" | "reconnecting" | "off" | "refused" | "gone" | "closed";

/** The state that the UI around a screen shows. Each change creates a new object. */
export interface ScreenState {
  link: Link;
  /** The last error from the service. */
  problem: string;
}

/** Draws a stream. */
export interface Picture {
  close: () => void;
}

/** Draws the stream of a socket that is about to open, and calls onShown when the screen is visible. */
export type Show = (socket: WebSocket, onShown: () => void) => Picture;

const firstRetry = 500;
const lastRetry = 10_000;
/** The service's close codes. */
const nodeGone = 4404;
const noScreen = 4406;
const nodeOff = 4409;

/**
 * A connection to one node's screen: open connects, a lost connection is restored
 * automatically, also when the node runs again, and close ends it. It can be opened again after
 * close.
 */
export class ScreenSession {
  private socket: WebSocket | undefined;
  private picture: Picture | undefined;
  private show: Show | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retry = firstRetry;
  private running = true;
  private current: ScreenState = { link: "connecting", problem: "" };
  private listeners = new Set<() => void>();

  constructor(
    private readonly url: string,
    private readonly connect: (url: string) => WebSocket = (target) => new WebSocket(target),
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  state = (): ScreenState => this.current;

  open(show: Show): void {
    this.show = show;
    window.addEventListener("online", this.reconnectNow);
    if (this.running) {
      this.become("connecting");
      this.dial();
    } else {
      this.become("off");
    }
  }

  close(): void {
    window.removeEventListener("online", this.reconnectNow);
    clearTimeout(this.timer);
    this.drop();
    this.become("closed");
  }

  /** Reports whether the node is running according to its events. */
  setRunning(running: boolean): void {
    const started = running && !this.running;
    this.running = running;
    if (started && (this.current.link === "off" || this.current.link === "refused")) {
      this.dialAnew();
    }
  }

  /** Connects immediately instead of waiting for the next attempt. */
  reconnectNow = (): void => {
    if (this.current.link === "reconnecting" || this.current.link === "refused") {
      this.dialAnew();
    }
  };

  private dialAnew(): void {
    clearTimeout(this.timer);
    this.retry = firstRetry;
    this.drop();
    this.become("connecting");
    this.dial();
  }

  private dial(): void {
    if (!this.show) {
      return;
    }
    const socket = this.connect(this.url);
    this.socket = socket;
    let problem = "";
    // Added before noVNC's listeners: text frames are handled here, binary ones by noVNC.
    socket.addEventListener("message", (event: MessageEvent<unknown>) => {
      if (typeof event.data === "string") {
        event.stopImmediatePropagation();
        problem = problemOf(event.data);
      }
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (this.socket === socket) {
        this.ended(code, problem || reason);
      }
    });
    this.picture = this.show(socket, () => {
      if (this.socket === socket) {
        this.retry = firstRetry;
        this.become("open");
      }
    });
  }

  private ended(code: number, problem: string): void {
    this.drop();
    switch (code) {
      case nodeGone:
        this.become("gone");
        return;
      case noScreen:
        this.become("refused", problem);
        return;
      case nodeOff:
        this.become("off");
        if (!this.running) {
          return;
        }
        break; // an event reports that it stopped or started again
      default:
        this.become("reconnecting", problem);
    }
    this.timer = setTimeout(() => {
      if (this.current.link !== "off" || this.running) {
        this.dial();
      }
    }, this.retry);
    this.retry = Math.min(this.retry * 2, lastRetry);
  }

  /** Detaches from the socket: what still arrives on it is ignored. */
  private drop(): void {
    const { socket, picture } = this;
    this.socket = this.picture = undefined;
    picture?.close();
    socket?.close();
  }

  private become(link: Link, problem = ""): void {
    this.current = { link, problem };
    for (const listener of this.listeners) {
      listener();
    }
  }
}

/** Returns the error message in a text frame, for the user. */
function problemOf(text: string): string {
  try {
    const { type, message } = JSON.parse(text) as { type?: unknown; message?: unknown };
    return type === "error" && typeof message === "string" ? message : "";
  } catch {
    return ""; // from another version of the service
  }
}

/** Returns the URL of a node's screen, on the page's origin. */
export function screenURL(origin: string, nodeID: string): string {
  const url = new URL(atBase("/ws/vnc"), origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("nodeId", nodeID);
  return url.toString();
}

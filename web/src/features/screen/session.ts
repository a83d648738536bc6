import { atBase } from "../../shared/base";

/**
 * off: the node is; it is connected to again when it runs. refused: it has no
 * screen that can be shown. gone: it was deleted. closed: close was called.
 */
export type Link = "connecting" | "open" | "reconnecting" | "off" | "refused" | "gone" | "closed";

/** All that a screen's surroundings show. A new object with each change. */
export interface ScreenState {
  link: Link;
  /** What the service said was wrong last. */
  problem: string;
}

/** What draws a stream. */
export interface Picture {
  close: () => void;
}

/** Draws the stream of a socket that is about to open, and calls onShown when the screen is there. */
export type Show = (socket: WebSocket, onShown: () => void) => Picture;

const firstRetry = 500;
const lastRetry = 10_000;
/** The service's close codes. */
const nodeGone = 4404;
const noScreen = 4406;
const nodeOff = 4409;

/**
 * The connection to one node's screen: it connects when opened, comes back by
 * itself when it is lost or when the node runs again, and ends with close. It
 * may be opened again after close.
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

  /** Tells whether the node runs, as far as its events say. */
  setRunning(running: boolean): void {
    const started = running && !this.running;
    this.running = running;
    if (started && (this.current.link === "off" || this.current.link === "refused")) {
      this.dialAnew();
    }
  }

  /** Ends the pause before the next attempt to connect. */
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
    // Before the picture's own listeners: text is for us, bytes are for it.
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
        break; // the word of its stop, or of its next start, is on its way
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

  /** Forgets the socket: whatever still comes from it is ignored. */
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

/** What a text frame says is wrong, for the user. */
function problemOf(text: string): string {
  try {
    const { type, message } = JSON.parse(text) as { type?: unknown; message?: unknown };
    return type === "error" && typeof message === "string" ? message : "";
  } catch {
    return ""; // from another version of the service
  }
}

/** The address of a node's screen on the origin that the page came from. */
export function screenURL(origin: string, nodeID: string): string {
  const url = new URL(atBase("/ws/vnc"), origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.searchParams.set("nodeId", nodeID);
  return url.toString();
}

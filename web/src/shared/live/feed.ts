import { type Change, changeTypes, parseChange } from "./changes";

/** connecting: not open yet; live: open; interrupted: lost and reconnecting. */
export type FeedState = "connecting" | "live" | "interrupted";

interface FeedHandlers {
  onChange: (change: Change) => void;
  /** Called whenever changes may have been missed: everything must be reloaded. */
  onReset: () => void;
}

const firstRetry = 1_000;
const lastRetry = 15_000;

/**
 * Follows GET /api/events until close. The browser resumes a dropped stream automatically; if it
 * gives up (the service refused the request, or a proxy answered instead), the feed opens a new
 * stream, with increasing delays.
 */
export class EventFeed {
  private source: EventSource | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private retry = firstRetry;
  private listeners = new Set<() => void>();
  private current: FeedState = "connecting";

  constructor(
    private readonly url: string,
    private readonly handlers: FeedHandlers,
  ) {
    this.open();
  }

  /** For useSyncExternalStore: calls listener on each change of state, until the returned function is called. */
  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  state = (): FeedState => this.current;

  close(): void {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = undefined;
    this.listeners.clear();
  }

  private open(): void {
    const source = new EventSource(this.url);
    this.source = source;
    source.onopen = () => {
      this.retry = firstRetry;
      this.become("live");
      // Lists may have been loaded before the stream was open, or a restarted service may have
      // restarted its event numbers.
      this.handlers.onReset();
    };
    source.onerror = () => {
      this.become("interrupted");
      if (source.readyState === EventSource.CLOSED) {
        this.timer = setTimeout(() => this.open(), this.retry);
        this.retry = Math.min(this.retry * 2, lastRetry);
      }
    };
    for (const type of changeTypes) {
      source.addEventListener(type, (event: MessageEvent<string>) => {
        const change = parseChange(type, event.data);
        if (change) {
          this.handlers.onChange(change);
        } else {
          this.handlers.onReset();
        }
      });
    }
    source.addEventListener("reset", () => this.handlers.onReset());
  }

  private become(state: FeedState): void {
    if (state !== this.current) {
      this.current = state;
      for (const listener of this.listeners) {
        listener();
      }
    }
  }
}

// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ScreenSession, screenURL } from "./session";

/** The browser's end of a socket; the test is the other end. */
class TestSocket extends EventTarget {
  static made: TestSocket[] = [];
  shown: () => void = () => undefined;
  closed = false;
  constructor() {
    super();
    TestSocket.made.push(this);
  }
  close() {
    this.closed = true;
  }
  say(data: unknown): boolean {
    const heard = vi.fn();
    this.addEventListener("message", heard, { once: true });
    this.dispatchEvent(new MessageEvent("message", { data }));
    this.removeEventListener("message", heard);
    return heard.mock.calls.length > 0;
  }
  lose(code = 1006) {
    this.dispatchEvent(new CloseEvent("close", { code }));
  }
}

function last(): TestSocket {
  const socket = TestSocket.made.at(-1);
  if (!socket) {
    throw new Error("no socket was created");
  }
  return socket;
}

function openSession({ running = true } = {}) {
  const session = new ScreenSession("ws://lab/ws/vnc", () => new TestSocket() as unknown as WebSocket);
  session.setRunning(running);
  const close = vi.fn();
  session.open((socket, onShown) => {
    (socket as unknown as TestSocket).shown = onShown;
    return { close };
  });
  return { session, close };
}

beforeEach(() => {
  TestSocket.made = [];
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

describe("ScreenSession", () => {
  test("is open when the screen is visible", () => {
    const { session } = openSession();
    expect(session.state().link).toBe("connecting");
    last().shown();
    expect(session.state()).toEqual({ link: "open", problem: "" });
  });

  test("passes only binary frames to the renderer", () => {
    openSession();
    expect(last().say(`{"type":"error","message":"m"}`)).toBe(false);
    expect(last().say(new ArrayBuffer(1))).toBe(true);
  });

  test("reconnects with increasing delays when the connection is lost", () => {
    const { session, close } = openSession();
    last().shown();
    last().lose();
    expect(session.state().link).toBe("reconnecting");
    expect(close).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(500);
    expect(TestSocket.made).toHaveLength(2);
    last().lose();
    vi.advanceTimersByTime(999);
    expect(TestSocket.made).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(TestSocket.made).toHaveLength(3);
    last().shown();
    expect(session.state().link).toBe("open");
  });

  test("waits while the node is stopped, and reconnects when it runs", () => {
    const { session } = openSession();
    last().shown();
    session.setRunning(false);
    last().lose(4409);
    expect(session.state().link).toBe("off");
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(1);
    session.setRunning(true);
    expect(session.state().link).toBe("connecting");
    expect(TestSocket.made).toHaveLength(2);
  });

  test("reconnects if the socket reports a stop before the events do", () => {
    const { session } = openSession();
    last().lose(4409);
    expect(session.state().link).toBe("off");
    vi.advanceTimersByTime(500);
    expect(TestSocket.made).toHaveLength(2);
    session.setRunning(false);
    last().lose(4409);
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(2);
  });

  test("does not connect to a stopped node", () => {
    const { session } = openSession({ running: false });
    expect(session.state().link).toBe("off");
    expect(TestSocket.made).toHaveLength(0);
    session.setRunning(true);
    expect(TestSocket.made).toHaveLength(1);
  });

  test("shows why a screen cannot be shown, and retries on request", () => {
    const { session } = openSession();
    last().say(`{"type":"error","code":"unsupported","message":"It is SPICE."}`);
    last().lose(4406);
    expect(session.state()).toEqual({ link: "refused", problem: "It is SPICE." });
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(1);
    session.reconnectNow();
    expect(TestSocket.made).toHaveLength(2);
  });

  test.each(["", "null", "{", `{"type":"new"}`])("ignores the unknown message %j", (text) => {
    const { session } = openSession();
    last().say(text);
    last().lose();
    expect(session.state()).toEqual({ link: "reconnecting", problem: "" });
  });

  test("ends when the node is deleted, and with close", () => {
    const { session } = openSession();
    last().lose(4404);
    expect(session.state().link).toBe("gone");
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(1);

    const second = openSession();
    second.session.close();
    expect(last().closed).toBe(true);
    last().lose();
    vi.advanceTimersByTime(60_000);
    expect(second.session.state().link).toBe("closed");
    expect(TestSocket.made).toHaveLength(2);
  });
});

test.each([
  ["http://lab:3001", "ws://lab:3001/ws/vnc?nodeId=a"],
  ["https://lab", "wss://lab/ws/vnc?nodeId=a"],
])("the screen on %s", (origin, url) => expect(screenURL(origin, "a")).toBe(url));

// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { ConsoleSession, consoleURL } from "./session";

/** The browser's end of a socket; the test is the other end. */
class TestSocket {
  static made: TestSocket[] = [];
  url = "";
  binaryType = "";
  readyState: number = WebSocket.CONNECTING;
  sent: (string | Uint8Array)[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  constructor() {
    TestSocket.made.push(this);
  }
  send(data: string | Uint8Array) {
    this.sent.push(data);
  }
  close() {
    this.readyState = WebSocket.CLOSED;
  }
  accept() {
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }
  lose(reason = "", code = 1006) {
    this.readyState = WebSocket.CLOSED;
    this.onclose?.({ code, reason });
  }
}

function last(): TestSocket {
  const socket = TestSocket.made.at(-1);
  if (!socket) {
    throw new Error("no socket was created");
  }
  return socket;
}

function openSession() {
  const session = new ConsoleSession("ws://lab/ws/console?nodeId=1", (url) => {
    const socket = new TestSocket();
    socket.url = url;
    return socket as unknown as WebSocket;
  });
  const screen = { write: vi.fn(), reset: vi.fn() };
  session.attach(screen);
  session.open();
  return { session, screen };
}

beforeEach(() => {
  TestSocket.made = [];
  vi.useFakeTimers();
});
afterEach(() => vi.useRealTimers());

describe("ConsoleSession", () => {
  test("shows the service's messages", () => {
    const { session } = openSession();
    expect(session.state().link).toBe("connecting");
    last().accept();
    last().onmessage?.({ data: `{"type":"status","state":"offline"}` });
    last().onmessage?.({ data: `{"type":"viewers","count":2}` });
    last().onmessage?.({ data: `{"type":"lagged","bytes":100}` });
    last().onmessage?.({ data: `{"type":"lagged","bytes":23}` });
    expect(session.state()).toEqual({
      link: "open",
      guest: "offline",
      paused: false,
      viewers: 2,
      lostBytes: 123,
      takenBackBy: "",
      problem: "",
    });
  });

  test("ignores unknown messages", () => {
    const { session } = openSession();
    last().accept();
    const before = session.state();
    for (const data of ["", "null", `{"type":"new"}`, `{"type":"status","state":"?"}`]) {
      last().onmessage?.({ data });
    }
    expect(session.state()).toBe(before);
  });

  test("shows who took over the console, until that is dismissed", () => {
    const { session } = openSession();
    last().accept();
    last().onmessage?.({ data: `{"type":"status","state":"connected","by":"ann"}` });
    expect(session.state()).toMatchObject({ guest: "connected", takenBackBy: "ann" });
    session.forgetTaker();
    expect(session.state().takenBackBy).toBe("");
  });

  test("becomes view-only on a new connection of that kind", () => {
    const { session } = openSession();
    last().accept();
    const first = last();
    session.setReadOnly(true);
    expect(TestSocket.made).toHaveLength(2);
    expect(last().url).toBe("ws://lab/ws/console?nodeId=1&readonly=true");
    last().accept();
    session.type(new Uint8Array([1]));
    expect([...first.sent, ...last().sent]).toEqual([]);
    session.setReadOnly(false);
    expect(last().url).toBe("ws://lab/ws/console?nodeId=1");
  });

  test("passes bytes on unchanged, after clearing the screen for the history", () => {
    const { screen } = openSession();
    last().accept();
    expect(screen.reset).toHaveBeenCalledTimes(1);
    const half = new Uint8Array([0xe2, 0x82]); // the beginning of a euro sign
    last().onmessage?.({ data: half.buffer });
    expect(screen.write).toHaveBeenCalledWith(half);
  });

  test("reconnects with increasing delays, and immediately on request", () => {
    const { session, screen } = openSession();
    last().accept();
    last().lose("going away");
    expect(session.state()).toMatchObject({ link: "reconnecting", guest: "unknown", problem: "going away" });
    vi.advanceTimersByTime(499);
    expect(TestSocket.made).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(TestSocket.made).toHaveLength(2);
    last().lose();
    vi.advanceTimersByTime(999);
    expect(TestSocket.made).toHaveLength(2);
    session.reconnectNow();
    expect(TestSocket.made).toHaveLength(3);
    last().accept();
    expect(session.state().link).toBe("open");
    expect(screen.reset).toHaveBeenCalledTimes(2);
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(3);
  });

  test("sends its size on each connection", () => {
    const { session } = openSession();
    session.resize(120, 40);
    expect(last().sent).toEqual([]);
    last().accept();
    expect(last().sent).toEqual([`{"type":"resize","cols":120,"rows":40}`]);
    session.take();
    expect(last().sent[1]).toBe(`{"type":"take"}`);
  });

  test("lets the terminal answer only once the user has typed into this connection", () => {
    const { session } = openSession();
    session.type(new Uint8Array([65]));
    expect(session.mayAnswer()).toBe(false);
    last().accept();
    session.type(new Uint8Array([65]));
    expect(session.mayAnswer()).toBe(true);
    last().lose();
    vi.advanceTimersByTime(500);
    last().accept();
    expect(session.mayAnswer()).toBe(false);
  });

  test("does not reconnect to a deleted node", () => {
    const { session } = openSession();
    last().accept();
    last().lose("The node was deleted.", 4404);
    expect(session.state().link).toBe("gone");
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(1);
  });

  test("shows why typing was refused until the user types again", () => {
    const { session } = openSession();
    last().accept();
    last().onmessage?.({ data: `{"type":"error","code":"guest_not_reading","message":"The guest is not reading."}` });
    expect(session.state().problem).toBe("The guest is not reading.");
    session.type(new Uint8Array([65]));
    expect(session.state().problem).toBe("");
  });

  test("splits pasted text into frames that the service accepts", () => {
    const { session } = openSession();
    last().accept();
    session.type(new Uint8Array(70_000));
    expect(last().sent.map((frame) => frame.length)).toEqual([32_768, 32_768, 4_464]);
  });

  test("is silent after close, and can be opened again", () => {
    const { session, screen } = openSession();
    const first = last();
    first.accept();
    session.close();
    expect(session.state().link).toBe("closed");
    expect(first.onmessage).toBeNull();
    vi.advanceTimersByTime(60_000);
    expect(TestSocket.made).toHaveLength(1);
    session.open();
    last().accept();
    expect(TestSocket.made).toHaveLength(2);
    expect(screen.reset).toHaveBeenCalledTimes(2);
  });
});

test.each([
  ["http://127.0.0.1:3001", "ws://127.0.0.1:3001/ws/console?nodeId=a%2Fb"],
  ["https://lab.example", "wss://lab.example/ws/console?nodeId=a%2Fb"],
])("consoleURL on %s", (origin, expected) => {
  expect(consoleURL(origin, "a/b")).toBe(expected);
});

test("consoleURL names the port", () => {
  expect(consoleURL("http://lab", "a", "serial1")).toBe("ws://lab/ws/console?nodeId=a&port=serial1");
});

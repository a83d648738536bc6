/** A control message to the service; sizes in characters. */
export type ControlMessage = { type: "resize"; cols: number; rows: number } | { type: "take" };

/** reconnecting: the service has closed the console for a moment, or its host is unreachable. */
export type ConsoleStatus = "connected" | "reconnecting" | "offline" | "taken";

const statuses: readonly string[] = ["connected", "reconnecting", "offline", "taken"] satisfies ConsoleStatus[];

/** A control message from the service. */
export type ServiceMessage =
  /**
   * by: who took over the console from another program; empty if unknown. paused: the node is paused and reads no
   * input.
   */
  | { type: "status"; state: ConsoleStatus; by: string; paused: boolean }
  | { type: "viewers"; count: number }
  | { type: "lagged"; bytes: number }
  /** The user's input was rejected; message is for the user. */
  | { type: "error"; message: string };

/** Parses a text frame; null if this version does not know it. */
export function parseControl(text: string): ServiceMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("type" in value)) {
    return null;
  }
  const message = value as Record<string, unknown>;
  switch (message.type) {
    case "status": {
      const { state } = message;
      const by = typeof message.by === "string" ? message.by : "";
      const paused = message.paused === true;
      return statuses.includes(state as string) ? { type: "status", state: state as ConsoleStatus, by, paused } : null;
    }
    case "viewers":
      return typeof message.count === "number" ? { type: "viewers", count: message.count } : null;
    case "lagged":
      return typeof message.bytes === "number" ? { type: "lagged", bytes: message.bytes } : null;
    case "error":
      return typeof message.message === "string" ? { type: "error", message: message.message } : null;
    default:
      return null;
  }
}

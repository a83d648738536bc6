import type { Problem } from "./types";

const unreachable = "Can't reach SandboxLabs. Check your connection and try again.";

/**
 * A request that failed. `message` is a sentence for the user; `code` is the service's stable
 * error code ("node_not_found"), or "unreachable" if there was no response.
 */
export class RequestError extends Error {
  override readonly name = "RequestError";
  constructor(
    message: string,
    readonly code: string,
    /** HTTP status; 0 if there was no response. */
    readonly status: number,
    /** Messages by request field: {"name": "…"}. */
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** Turns the body of an error response into a RequestError. */
export function requestError(status: number, body: unknown): RequestError {
  if (!isProblem(body)) {
    return new RequestError(
      `The request failed with status ${status}. Try again; if it fails again, ask an administrator to check the log.`,
      "unknown",
      status,
    );
  }
  const fields: Record<string, string> = {};
  for (const { location, message } of body.errors ?? []) {
    if (location && message) {
      fields[location.replace(/^body\./, "")] = message;
    }
  }
  const detail = body.detail || body.title || `The request failed with status ${status}.`;
  return new RequestError(detail, body.code ?? "unknown", status, fields);
}

/** Returns the error for a request without a response. */
export function unreachableError(): RequestError {
  return new RequestError(unreachable, "unreachable", 0);
}

/** Returns a message for any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something went wrong. Reload the page and try again.";
}

function isProblem(body: unknown): body is Partial<Problem> {
  return typeof body === "object" && body !== null && ("detail" in body || "title" in body || "code" in body);
}

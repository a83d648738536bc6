import type { Problem } from "./types";

const unreachable =
  "SandboxLabs does not answer. Check that the service is running and that your network is up, then try again.";

/**
 * A request that failed. `message` is a sentence for the user; `code` is the
 * stable code of the service ("node_not_found"), or "unreachable" when no
 * answer came at all.
 */
export class RequestError extends Error {
  override readonly name = "RequestError";
  constructor(
    message: string,
    readonly code: string,
    /** HTTP status, 0 when no answer came. */
    readonly status: number,
    /** Messages by request member: {"name": "…"}. */
    readonly fields: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }
}

/** Turns the body of a failed answer into a RequestError. */
export function requestError(status: number, body: unknown): RequestError {
  if (!isProblem(body)) {
    return new RequestError(
      `The service answered with status ${status}, and did not say why. Try again; if it stays, look into the service's log.`,
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

/** The error for a request that got no answer. */
export function unreachableError(): RequestError {
  return new RequestError(unreachable, "unreachable", 0);
}

/** A sentence for any thrown value. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : "Something failed in this page. Reload it, then try again.";
}

function isProblem(body: unknown): body is Partial<Problem> {
  return typeof body === "object" && body !== null && ("detail" in body || "title" in body || "code" in body);
}

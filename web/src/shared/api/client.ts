import createClient from "openapi-fetch";

import { base } from "../base";
import { RequestError, requestError, unreachableError } from "./problem";
import type { paths } from "./schema";

/** The typed client of the REST API. It only fetches: the caller decides what to show and where to go. */
export const api = createClient<paths>({ baseUrl: base, credentials: "same-origin" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Resolves with the body of a successful response, or rejects with a RequestError. */
export async function bodyOf<T>(pending: Promise<Answer<T>>): Promise<T> {
  return (await answerOf(pending)).data as T;
}

/** Resolves when a request without a response body succeeded. */
export async function done(pending: Promise<Answer<unknown>>): Promise<void> {
  await answerOf(pending);
}

/** Resolves with a successful response, for callers that need its headers, or rejects with a RequestError. */
export async function answerOf<T>(pending: Promise<Answer<T>>): Promise<Answer<T>> {
  let answer: Answer<T>;
  try {
    answer = await pending;
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === "AbortError") {
      throw cause;
    }
    throw cause instanceof RequestError ? cause : unreachableError();
  }
  if (!answer.response.ok) {
    throw requestError(answer.response.status, answer.error);
  }
  return answer;
}

/** Reads all pages of a list; `ask` requests the page at a cursor. */
export async function pagesOf<P extends { nextCursor?: string }>(
  ask: (query: { cursor?: string }) => Promise<Answer<P>>,
): Promise<P[]> {
  const pages: P[] = [];
  let cursor: string | undefined;
  do {
    const page: P = await bodyOf(ask(cursor === undefined ? {} : { cursor }));
    pages.push(page);
    cursor = page.nextCursor === "" ? undefined : page.nextCursor;
  } while (cursor !== undefined);
  return pages;
}

/** The header that makes the service refuse a change (412) if another user changed the object since it was read; "*" always changes it. */
export function ifMatch(version: string) {
  return { "If-Match": version === "*" ? version : `"${version}"` };
}

/** Returns a new value for the Idempotency-Key header. Unlike crypto.randomUUID it works on plain-HTTP origins too. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

import createClient from "openapi-fetch";

import { base } from "../base";
import { RequestError, requestError, unreachableError } from "./problem";
import type { paths } from "./schema";

/** The typed client of the REST API. It only fetches: what to show, and where to go, is the caller's matter. */
export const api = createClient<paths>({ baseUrl: base, credentials: "same-origin" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** Resolves with the body of a successful answer, and rejects with a RequestError otherwise. */
export async function bodyOf<T>(pending: Promise<Answer<T>>): Promise<T> {
  return (await answerOf(pending)).data as T;
}

/** Resolves when the request succeeded with an answer that has no body. */
export async function done(pending: Promise<Answer<unknown>>): Promise<void> {
  await answerOf(pending);
}

/** Resolves with a successful answer, for those who need its headers, and rejects with a RequestError otherwise. */
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

/** Reads a list to its end; `ask` is for the page behind a cursor. */
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

/** The header that has a change refused (412) when somebody else changed what was read; "*" never does. */
export function ifMatch(version: string) {
  return { "If-Match": version === "*" ? version : `"${version}"` };
}

/** A fresh value for the Idempotency-Key header. Unlike crypto.randomUUID it works on plain-HTTP origins too. */
export function idempotencyKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

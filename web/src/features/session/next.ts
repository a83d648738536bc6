/**
 * Where to go after signing in: the page that was asked for, and only ever a
 * page of ours ("//elsewhere" and "https://elsewhere" are not).
 */
export function safeNext(next: string | null): string {
  return next !== null && /^\/(?![/\\])/.test(next) && !next.startsWith("/login") ? next : "/";
}

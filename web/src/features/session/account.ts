const day = 86_400_000; // milliseconds
const leastBytes = 12;
const mostBytes = 1024;

/** The lifetimes of tokens in days; 0 never expires. */
export const lifetimes = [
  { days: 7, text: "7 days" },
  { days: 30, text: "30 days" },
  { days: 90, text: "90 days" },
  { days: 365, text: "1 year" },
  { days: 0, text: "Never" },
] as const;

/** Returns when a token that is created now expires, as an RFC 3339 time; undefined for never. */
export function expiryOf(days: number, now: number): string | undefined {
  return days === 0 ? undefined : new Date(now + days * day).toISOString();
}

/** Whether a token has expired. */
export function isExpired(expires: string | undefined, now: number): boolean {
  return expires !== undefined && new Date(expires).getTime() <= now;
}

/** Returns the problem of a token's name; empty if it is valid. */
export function tokenNameProblem(name: string): string {
  const bytes = sizeOf(name.trim());
  return bytes === 0 ? "Enter a name." : bytes > 128 ? "Use at most 128 bytes." : "";
}

/** Describes a token's scopes in a few words. */
export function scopesText(scopes: readonly string[]): string {
  return scopes.length === 0 ? "all" : scopes.join(", ");
}

export interface PasswordDraft {
  current: string;
  fresh: string;
  again: string;
}

/** Returns the problems of the new password and of its repetition; empty if valid. */
export function passwordProblems({ current, fresh, again }: PasswordDraft): Pick<PasswordDraft, "fresh" | "again"> {
  const bytes = sizeOf(fresh);
  return {
    fresh:
      bytes < leastBytes
        ? `Use at least ${leastBytes} characters.`
        : bytes > mostBytes
          ? `Use at most ${mostBytes} bytes.`
          : fresh === current
            ? "The new password must differ from the current one."
            : "",
    again: again === fresh ? "" : "Passwords don't match.",
  };
}

function sizeOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

/** Shortens a User-Agent: "Firefox on Linux". Other clients are named by their first word. */
export function agentName(agent: string): string {
  const browser = [
    ["Edg/", "Edge"],
    ["OPR/", "Opera"],
    ["Firefox/", "Firefox"],
    ["Chrome/", "Chrome"],
    ["Safari/", "Safari"],
  ].find(([mark = ""]) => agent.includes(mark))?.[1];
  const system = [
    ["Android", "Android"],
    ["iPhone", "iPhone"],
    ["iPad", "iPad"],
    ["Windows", "Windows"],
    ["Mac OS X", "macOS"],
    ["Linux", "Linux"],
  ].find(([mark = ""]) => agent.includes(mark))?.[1];
  if (browser === undefined) {
    return agent.split(/[\s/]/)[0] || "Unknown client";
  }
  return system === undefined ? browser : `${browser} on ${system}`;
}

/** Returns the display name of a public SSH key: its comment, or else its type. */
export function keyName(key: string): string {
  const [kind = "", , ...comment] = key.split(" ");
  return comment.join(" ") || kind;
}

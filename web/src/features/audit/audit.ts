import { useInfiniteQuery } from "@tanstack/react-query";

import { atBase } from "../../shared/base";
import { api, bodyOf } from "../../shared/api/client";

/** A filter for audit entries; empty fields match all. Days are in the browser's time zone: "2026-01-31". */
export interface AuditFilter {
  user: string;
  action: string;
  target: string;
  from: string;
  to: string;
}

export const filterNames = ["user", "action", "target", "from", "to"] as const satisfies readonly (keyof AuditFilter)[];

export function readFilter(params: URLSearchParams): AuditFilter {
  const [user = "", action = "", target = "", from = "", to = ""] = filterNames.map((name) => params.get(name) ?? "");
  return { user, action, target, from, to };
}

/** Returns the filter as query parameters; the last day is included. */
export function queryOf({ user, action, target, from, to }: AuditFilter): Record<string, string> {
  const since = startOfDay(from, 0);
  const until = startOfDay(to, 1);
  return {
    ...(user.trim() && { user: user.trim() }),
    ...(action.trim() && { action: action.trim() }),
    ...(target.trim() && { target: target.trim() }),
    ...(since && { since }),
    ...(until && { until }),
  };
}

/** Returns the start of a day, or of one some days later, as an RFC 3339 time; empty if the text is not a date. */
function startOfDay(day: string, daysLater: number): string {
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day) ?? [];
  return year === undefined ? "" : new Date(Number(year), Number(month) - 1, Number(date) + daysLater).toISOString();
}

/** Returns the URL that exports the matching entries. */
export function exportURL(filter: AuditFilter, format: "csv" | "ndjson"): string {
  return atBase(`/api/audit/export?${new URLSearchParams({ ...queryOf(filter), format }).toString()}`);
}

/** The matching entries, newest first, a hundred at a time; reloaded on each visit. */
export function useAudit(filter: AuditFilter) {
  const query = queryOf(filter);
  return useInfiniteQuery({
    queryKey: ["audit", query],
    queryFn: ({ pageParam: cursor }) =>
      bodyOf(api.GET("/api/audit", { params: { query: { ...query, limit: 100, ...(cursor && { cursor }) } } })),
    initialPageParam: "",
    getNextPageParam: ({ nextCursor }) => nextCursor,
    staleTime: 0,
  });
}

import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Host } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { applyToHosts } from "../liveHosts";

export const hostsKey = ["hosts"] as const;

export async function fetchHosts(): Promise<Host[]> {
  return changeLog.reconcile(async () => (await bodyOf(api.GET("/api/hosts"))).hosts, applyToHosts);
}

export function useHosts() {
  return useQuery({ queryKey: hostsKey, queryFn: fetchHosts });
}

import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Host } from "../../../shared/api/types";

export const hostsKey = ["hosts"] as const;

export async function fetchHosts(): Promise<Host[]> {
  return (await bodyOf(api.GET("/api/hosts"))).hosts;
}

export function useHosts() {
  return useQuery({ queryKey: hostsKey, queryFn: fetchHosts });
}

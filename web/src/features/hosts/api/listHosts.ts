import { useQuery } from "@tanstack/react-query";

import { api, pagesOf } from "../../../shared/api/client";
import type { Host } from "../../../shared/api/types";

export const hostsKey = ["hosts"] as const;

export async function fetchHosts(): Promise<Host[]> {
  const pages = await pagesOf((query) => api.GET("/api/hosts", { params: { query } }));
  return pages.flatMap(({ hosts }) => hosts);
}

export function useHosts() {
  return useQuery({ queryKey: hostsKey, queryFn: fetchHosts });
}

import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { AuditEntry } from "../../../shared/api/types";
import { nodePartsKey } from "./keys";

const shown = 100;

/** The audit log of a node, latest first; for administrators. */
export function useNodeAudit(id: string, isWanted: boolean) {
  return useQuery({
    queryKey: [...nodePartsKey(id), "audit"],
    queryFn: async (): Promise<AuditEntry[]> =>
      (await bodyOf(api.GET("/api/audit", { params: { query: { target: id, limit: shown } } }))).entries,
    enabled: isWanted,
    staleTime: 0,
  });
}

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done } from "../../../shared/api/client";
import type { OpenSession } from "../../../shared/api/types";

export const sessionsKey = ["sessions"] as const;

export async function fetchSessions(): Promise<OpenSession[]> {
  return (await bodyOf(api.GET("/api/auth/sessions"))).sessions;
}

/** The user's sessions, reloaded on each visit. */
export function useSessions() {
  return useQuery({ queryKey: sessionsKey, queryFn: fetchSessions, staleTime: 0 });
}

export async function endSession(id: string): Promise<void> {
  await done(api.DELETE("/api/auth/sessions/{id}", { params: { path: { id } } }));
}

export function useEndSession(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => endSession(id),
    onSettled: () => queries.invalidateQueries({ queryKey: sessionsKey }),
  });
}

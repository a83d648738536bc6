import { type QueryClient, useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { sessionKey } from "./session";

export async function signOut(): Promise<void> {
  await done(api.POST("/api/auth/logout"));
}

/** Forgets who was signed in, and all that was shown to that user. */
export function forgetSession(queries: QueryClient): void {
  queries.setQueryData(sessionKey, null);
  queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionKey[0] });
}

/** Signs out, and forgets all that was shown to the user. */
export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: signOut,
    onSuccess: () => forgetSession(queries),
  });
}

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { sessionKey } from "./session";

export async function signOut(): Promise<void> {
  await done(api.POST("/api/auth/logout"));
}

/** Signs out, and forgets all that was shown to the user. */
export function useSignOut() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: signOut,
    onSuccess: () => {
      queries.setQueryData(sessionKey, null);
      queries.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== sessionKey[0] });
    },
  });
}

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { sessionKey } from "./session";

interface Credentials {
  username: string;
  password: string;
  /** A code of the second factor, or a recovery code. */
  code?: string;
}

export async function signIn(credentials: Credentials): Promise<void> {
  await done(api.POST("/api/auth/login", { body: credentials }));
}

/** Signs in and loads the user; the browser stores the cookie of the response. */
export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: signIn,
    onSuccess: () => queries.invalidateQueries({ queryKey: sessionKey }),
  });
}

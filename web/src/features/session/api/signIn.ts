import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { sessionKey } from "./session";

interface Credentials {
  username: string;
  password: string;
  /** Of the second factor, or a recovery code. */
  code?: string;
}

export async function signIn(credentials: Credentials): Promise<void> {
  await done(api.POST("/api/auth/login", { body: credentials }));
}

/** Signs in, and reads who that is now; the cookie that comes with the answer is the browser's. */
export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: signIn,
    onSuccess: () => queries.invalidateQueries({ queryKey: sessionKey }),
  });
}

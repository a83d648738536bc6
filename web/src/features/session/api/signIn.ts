import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { type Session, sessionKey } from "./session";

interface Credentials {
  username: string;
  password: string;
}

export async function signIn(credentials: Credentials): Promise<Session> {
  const { user } = await bodyOf(api.POST("/api/auth/login", { body: credentials }));
  return { user, auth: "on" };
}

/** Signs in; the cookie that comes with the answer is the browser's. */
export function useSignIn() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: signIn,
    onSuccess: (session) => queries.setQueryData(sessionKey, session),
  });
}

import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { type Session, sessionKey } from "./session";

/** Replaces the user's public keys. */
export async function setSSHKeys(sshKeys: string[]): Promise<Session> {
  return bodyOf(api.PATCH("/api/auth/me", { body: { sshKeys } }));
}

export function useSetSSHKeys() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: setSSHKeys,
    onSuccess: (session) => queries.setQueryData(sessionKey, session),
  });
}

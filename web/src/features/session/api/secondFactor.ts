import { useMutation, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done } from "../../../shared/api/client";
import { confirming } from "../confirm";
import { sessionKey } from "./session";

/** A second factor that is not confirmed yet. */
export interface Enrolment {
  secret: string;
  /** For a QR code: "otpauth://…". */
  uri: string;
}

/** Makes a new secret each time: the one before does not count any more. */
export async function beginSecondFactor(): Promise<Enrolment> {
  return confirming(() => bodyOf(api.POST("/api/auth/totp")));
}

/** Keeps the secret for as long as the caller is on the page, or until it is reset. */
export function useBeginSecondFactor() {
  return useMutation({ mutationFn: beginSecondFactor, gcTime: 0 });
}

/** Resolves with the recovery codes, which the service tells this once. */
export async function confirmSecondFactor(code: string): Promise<string[]> {
  return (await confirming(() => bodyOf(api.POST("/api/auth/totp/confirm", { body: { code } })))).recoveryCodes;
}

export function useConfirmSecondFactor() {
  return useMutation({ mutationFn: confirmSecondFactor, gcTime: 0 });
}

export async function removeSecondFactor(password: string): Promise<void> {
  await done(api.DELETE("/api/auth/totp", { body: { password } }));
}

export function useRemoveSecondFactor() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: removeSecondFactor,
    onSuccess: () => queries.invalidateQueries({ queryKey: sessionKey }),
    gcTime: 0,
  });
}

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

/** Creates a new secret each time; the previous one becomes invalid. */
export async function beginSecondFactor(): Promise<Enrolment> {
  return confirming(() => bodyOf(api.POST("/api/auth/totp")));
}

/** Keeps the secret until the component is unmounted or the mutation is reset. */
export function useBeginSecondFactor() {
  return useMutation({ mutationFn: beginSecondFactor, gcTime: 0 });
}

/** Resolves with the recovery codes, which the service returns only once. */
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

import { useMutation } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";

interface PasswordChange {
  current: string;
  new: string;
}

/** Changes the password, which ends all sessions of the account. */
export async function changePassword(change: PasswordChange): Promise<void> {
  await done(api.POST("/api/auth/password", { body: change }));
}

export function useChangePassword() {
  return useMutation({ mutationFn: changePassword, gcTime: 0 });
}

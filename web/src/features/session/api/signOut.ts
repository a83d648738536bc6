import { useMutation } from "@tanstack/react-query";

import { api, done } from "../../../shared/api/client";
import { paths } from "../../../shared/paths";
import { startOver } from "../../../shared/startOver";

export async function signOut(): Promise<void> {
  await done(api.POST("/api/auth/logout"));
}

/** Signs out and clears all cached data. */
export function useSignOut() {
  return useMutation({
    mutationFn: signOut,
    onSuccess: () => startOver(paths.login),
  });
}

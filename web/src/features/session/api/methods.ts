import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";

/** The ways to sign in. */
export interface Methods {
  password: boolean;
  /** The provider that one may sign in at, if there is any. */
  oidc?: { name: string } | null;
}

export async function fetchMethods(): Promise<Methods> {
  return bodyOf(api.GET("/api/auth/methods"));
}

export function useMethods() {
  return useQuery({ queryKey: ["sign-in-methods"], queryFn: fetchMethods });
}

import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";

/** The available sign-in methods. */
export interface Methods {
  password: boolean;
  /** The sign-in provider, if there is one. */
  oidc?: { name: string } | null;
}

export async function fetchMethods(): Promise<Methods> {
  return bodyOf(api.GET("/api/auth/methods"));
}

export function useMethods() {
  return useQuery({ queryKey: ["sign-in-methods"], queryFn: fetchMethods });
}

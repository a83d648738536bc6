import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";

/** Who is signed in. */
export interface Session {
  user: { name: string; role: string };
  /** off: the service asks nobody to sign in. */
  auth: "on" | "off";
  /** Until the password is changed, the service answers nothing else. */
  mustChangePassword: boolean;
  /** A provider lets the user in: there is no password here. */
  external: boolean;
  /** Signing in takes a second factor. */
  totp: boolean;
  /** Those that were not used. */
  recoveryCodes?: number;
  sshKeys: string[];
}

export const sessionKey = ["session"] as const;

/** Resolves with null when nobody is signed in. */
export async function fetchSession(): Promise<Session | null> {
  try {
    return await bodyOf(api.GET("/api/auth/me"));
  } catch (error) {
    if (error instanceof RequestError && error.status === 401) {
      return null;
    }
    throw error;
  }
}

/** Whether somebody's role lets them make nodes, networks and images. */
export function mayCreate(session: Session | null | undefined): boolean {
  return session?.user.role === "admin" || session?.user.role === "instructor";
}

/** Whether somebody may do all that there is to do. */
export function isAdmin(session: Session | null | undefined): boolean {
  return session?.user.role === "admin";
}

export function useSession() {
  return useQuery({ queryKey: sessionKey, queryFn: fetchSession, staleTime: Infinity });
}

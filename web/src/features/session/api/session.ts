import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";

/** The signed-in user. */
export interface Session {
  user: { name: string; role: string };
  /** off: sign-in is turned off. */
  auth: "on" | "off";
  /** Until the password is changed, the service refuses all other requests. */
  mustChangePassword: boolean;
  /** The user signs in through a provider and has no password here. */
  external: boolean;
  /** Two-factor authentication is on. */
  totp: boolean;
  /** Number of unused recovery codes. */
  recoveryCodes?: number;
  sshKeys: string[];
}

export const sessionKey = ["session"] as const;

/** Resolves with null if no one is signed in. */
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

/** Whether the user's role lets them create nodes, networks and images. */
export function mayCreate(session: Session | null | undefined): boolean {
  return session?.user.role === "admin" || session?.user.role === "instructor";
}

/** Whether the user is an administrator. */
export function isAdmin(session: Session | null | undefined): boolean {
  return session?.user.role === "admin";
}

export function useSession() {
  return useQuery({ queryKey: sessionKey, queryFn: fetchSession, staleTime: Infinity });
}

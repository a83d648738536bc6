import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { answerOf, api, bodyOf, ifMatch, pagesOf } from "../../../shared/api/client";
import type { Account, Owned, Quota } from "../../../shared/api/types";

export type { Owned };

export const usersKey = ["users"] as const;
const userKey = (name: string) => [...usersKey, name] as const;

/** All accounts, read anew with each visit, for what they use. */
export function useUsers() {
  return useQuery({
    queryKey: usersKey,
    queryFn: async () => {
      const pages = await pagesOf((query) => api.GET("/api/users", { params: { query } }));
      return pages.flatMap(({ users }) => users);
    },
    staleTime: 0,
  });
}

/** One account with what it uses; for administrators. */
export function useUser(name: string) {
  return useQuery({
    queryKey: userKey(name),
    queryFn: () => bodyOf(api.GET("/api/users/{name}", { params: { path: { name } } })),
    staleTime: 0,
  });
}

interface NewUser {
  name: string;
  role: Account["role"];
  /** Made up by the service when left out. */
  password?: string;
  quota?: Quota;
}

/** The answer holds the password that the service made up. */
export function useCreateUser() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (user: NewUser) => bodyOf(api.POST("/api/users", { body: user })),
    onSettled: () => queries.invalidateQueries({ queryKey: usersKey }),
    gcTime: 0,
  });
}

export type UserChange = Partial<Pick<Account, "role" | "disabled" | "quota" | "password">> & {
  /** With a new password: API tokens keep working. */
  keepTokens?: boolean;
};

/** Changes an account as it was read: what somebody else changed since is not lost. */
export function useChangeUser({ name, version = "*" }: Pick<Account, "name" | "version">) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: UserChange) =>
      bodyOf(api.PATCH("/api/users/{name}", { params: { path: { name }, header: ifMatch(version) }, body: change })),
    onSettled: () => queries.invalidateQueries({ queryKey: usersKey }),
    gcTime: 0, // the change may hold a password
  });
}

/** What becomes of all that an account owns; nothing: it owns nothing. */
export interface Removal {
  owned?: "transfer" | "delete";
  /** The account that gets everything. */
  to?: string;
}

/** What an account owns now. */
export function useOwned(name: string) {
  return useQuery({
    queryKey: [...userKey(name), "owned"],
    queryFn: () => bodyOf(api.GET("/api/users/{name}/owned", { params: { path: { name } } })),
    staleTime: 0,
    gcTime: 0,
  });
}

/** Resolves with whether a task deletes the account, rather than that it is gone. */
export function useDeleteUser(name: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (query: Removal) =>
      (await answerOf(api.DELETE("/api/users/{name}", { params: { path: { name }, query } }))).response.status === 202,
    onSuccess: () => {
      queries.removeQueries({ queryKey: userKey(name) });
      return queries.invalidateQueries({ queryKey: usersKey, exact: true });
    },
  });
}

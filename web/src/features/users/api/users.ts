import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done, pagesOf } from "../../../shared/api/client";
import type { Account, Quota } from "../../../shared/api/types";

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

export type UserChange = Partial<Pick<Account, "role" | "disabled" | "quota" | "password">>;

export function useChangeUser(name: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: UserChange) =>
      bodyOf(api.PATCH("/api/users/{name}", { params: { path: { name } }, body: change })),
    onSettled: () => queries.invalidateQueries({ queryKey: usersKey }),
    gcTime: 0, // the change may hold a password
  });
}

export function useDeleteUser(name: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: () => done(api.DELETE("/api/users/{name}", { params: { path: { name } } })),
    onSuccess: () => {
      queries.removeQueries({ queryKey: userKey(name) });
      return queries.invalidateQueries({ queryKey: usersKey, exact: true });
    },
  });
}

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done, pagesOf } from "../api/client";
import type { Group, Share } from "../api/types";

/** The kinds of objects that can be shared. */
export type Shared = "nodes" | "images" | "labs";

const sharesKey = (kind: Shared, id: string) => ["shares", kind, id] as const;

/** The shares of an object; for users who manage it. */
export function useShares(kind: Shared, id: string) {
  return useQuery({
    queryKey: sharesKey(kind, id),
    queryFn: async () => {
      const params = { params: { path: { id } } };
      const { shares } = await bodyOf(api.GET(`/api/${kind}/{id}/shares`, params));
      return shares;
    },
    staleTime: 0,
  });
}

/** A user or group to share with. */
export interface Grantee {
  to: "users" | "groups";
  name: string;
}

/** Returns the user or group of a share. */
export function granteeOf({ user, group }: Share): Grantee {
  return user === undefined ? { to: "groups", name: group ?? "" } : { to: "users", name: user };
}

export function useSetShare(kind: Shared, id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ to, name, level }: Grantee & { level: Share["level"] }) => {
      const options = { params: { path: { id, name } }, body: { level } };
      await done(api.PUT(`/api/${kind}/{id}/shares/${to}/{name}`, options));
    },
    onSettled: () => queries.invalidateQueries({ queryKey: sharesKey(kind, id) }),
  });
}

export function useRemoveShare(kind: Shared, id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ to, name }: Grantee) => {
      const options = { params: { path: { id, name } } };
      await done(api.DELETE(`/api/${kind}/{id}/shares/${to}/{name}`, options));
    },
    onSettled: () => queries.invalidateQueries({ queryKey: sharesKey(kind, id) }),
  });
}

/** The names of all accounts and groups; for instructors and administrators. */
export function useGrantees() {
  return useQuery({
    queryKey: ["grantees"],
    queryFn: async () => {
      const [people, classes] = await Promise.all([
        pagesOf((query) => api.GET("/api/users", { params: { query } })),
        pagesOf((query) => api.GET("/api/groups", { params: { query } })),
      ]);
      return {
        users: people.flatMap(({ users }) => users.map(({ name }) => name)),
        groups: classes.flatMap(({ groups }) => groups.map(({ name }: Group) => name)),
      };
    },
    staleTime: 0,
  });
}

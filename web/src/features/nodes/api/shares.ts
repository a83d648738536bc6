import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, bodyOf, done } from "../../../shared/api/client";
import type { Share } from "../../../shared/api/types";
import { nodePartsKey } from "./getNode";

const sharesKey = (id: string) => [...nodePartsKey(id), "shares"] as const;

/** With whom a node is shared. */
export function useShares(id: string) {
  return useQuery({
    queryKey: sharesKey(id),
    queryFn: async (): Promise<Share[]> =>
      (await bodyOf(api.GET("/api/nodes/{id}/shares", { params: { path: { id } } }))).shares,
  });
}

/** Somebody with whom a node can be shared. */
export interface Party {
  kind: "user" | "group";
  name: string;
}

/** Whom a node can be shared with: the accounts and groups that there are. */
export function useParties(isWanted: boolean) {
  return useQuery({
    queryKey: ["parties"],
    queryFn: async (): Promise<Party[]> => {
      const [{ users }, { groups }] = await Promise.all([bodyOf(api.GET("/api/users")), bodyOf(api.GET("/api/groups"))]);
      return [
        ...groups.map(({ name }) => ({ kind: "group", name }) as const),
        ...users.map(({ name }) => ({ kind: "user", name }) as const),
      ];
    },
    enabled: isWanted,
    staleTime: 0,
  });
}

/** What a party may do from now on; null takes the share away. */
export interface ShareChange extends Party {
  level: Share["level"] | null;
}

export async function changeShare(id: string, { kind, name, level }: ShareChange): Promise<void> {
  const params = { path: { id, name } };
  if (kind === "user") {
    return done(
      level === null
        ? api.DELETE("/api/nodes/{id}/shares/users/{name}", { params })
        : api.PUT("/api/nodes/{id}/shares/users/{name}", { params, body: { level } }),
    );
  }
  return done(
    level === null
      ? api.DELETE("/api/nodes/{id}/shares/groups/{name}", { params })
      : api.PUT("/api/nodes/{id}/shares/groups/{name}", { params, body: { level } }),
  );
}

/** Changes a share, which shows at once, and is as before where the service refuses. */
export function useChangeShare(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (change: ShareChange) => changeShare(id, change),
    onMutate: ({ kind, name, level }) => {
      const before = queries.getQueryData<Share[]>(sharesKey(id));
      queries.setQueryData<Share[]>(sharesKey(id), (shares) =>
        shares
          ?.filter((share) => level !== null || share[kind] !== name)
          .map((share) => (level !== null && share[kind] === name ? { ...share, level } : share)),
      );
      return before;
    },
    onError: (_error, _change, before) => queries.setQueryData(sharesKey(id), before),
    onSettled: () => queries.invalidateQueries({ queryKey: sharesKey(id) }),
  });
}

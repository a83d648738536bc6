import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";

import { api, done, pagesOf } from "../../../shared/api/client";
import type { Group } from "../../../shared/api/types";

export const groupsKey = ["groups"] as const;

export function useGroups() {
  return useQuery({
    queryKey: groupsKey,
    queryFn: async () => {
      const pages = await pagesOf((query) => api.GET("/api/groups", { params: { query } }));
      return pages.flatMap(({ groups }) => groups);
    },
    staleTime: 0,
  });
}

/** One change of the groups. */
export type GroupChange =
  | { do: "create"; group: string }
  | { do: "delete"; group: string }
  | { do: "add"; group: string; user: string }
  | { do: "remove"; group: string; user: string };

async function changeGroups(change: GroupChange): Promise<void> {
  const name = change.group;
  switch (change.do) {
    case "create":
      return done(api.POST("/api/groups", { body: { name } }));
    case "delete":
      return done(api.DELETE("/api/groups/{name}", { params: { path: { name } } }));
    case "add":
      return done(api.PUT("/api/groups/{name}/members/{user}", { params: { path: { name, user: change.user } } }));
    case "remove":
      return done(api.DELETE("/api/groups/{name}/members/{user}", { params: { path: { name, user: change.user } } }));
  }
}

/** Changes the groups; changes of members are shown immediately. */
export function useChangeGroups() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: changeGroups,
    onMutate: (change) => {
      queries.setQueryData<Group[]>(groupsKey, (groups) => groups?.map((group) => withMember(group, change)));
    },
    onSettled: () => queries.invalidateQueries({ queryKey: groupsKey }),
  });
}

function withMember(group: Group, change: GroupChange): Group {
  if (group.name !== change.group || change.do === "create" || change.do === "delete") {
    return group;
  }
  const others = group.members.filter((member) => member !== change.user);
  return { ...group, members: change.do === "add" ? [...others, change.user].sort() : others };
}

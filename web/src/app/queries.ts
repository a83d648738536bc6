import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";

import { sessionKey } from "../features/session/api/session";
import { RequestError } from "../shared/api/problem";

/** The cache of all server data. The event feed keeps it up to date: nothing is polled. */
export function createQueries(): QueryClient {
  const onError = (error: Error) => {
    if (error instanceof RequestError && error.status === 401) {
      // The session may have expired, and RequireSession then asks the user to sign in again; or only a password that was typed is wrong.
      void queries.invalidateQueries({ queryKey: sessionKey });
    }
  };
  const queries = new QueryClient({
    queryCache: new QueryCache({ onError }),
    mutationCache: new MutationCache({ onError }),
    defaultOptions: {
      queries: {
        staleTime: Infinity,
        refetchOnWindowFocus: false,
        retry: (failures, error) =>
          failures < 2 && error instanceof RequestError && (error.status === 0 || error.status >= 502),
        networkMode: "always",
      },
      mutations: { networkMode: "always" },
    },
  });
  return queries;
}

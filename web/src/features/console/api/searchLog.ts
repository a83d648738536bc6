import { useInfiniteQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import { consoleLogKey } from "./readLog";

/** The lines of the log that contain a text, a hundred at a time, oldest first; none while the text is empty. */
export function useLogSearch(nodeID: string, port: string, text: string) {
  return useInfiniteQuery({
    queryKey: [...consoleLogKey(nodeID, port), "search", text],
    queryFn: ({ pageParam: offset }) =>
      bodyOf(
        api.GET("/api/nodes/{id}/console/log/search", {
          params: { path: { id: nodeID }, query: { text, offset, port } },
        }),
      ),
    initialPageParam: 0,
    getNextPageParam: ({ next }) => next,
    enabled: text !== "",
    gcTime: 0,
  });
}

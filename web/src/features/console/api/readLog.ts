import { useInfiniteQuery } from "@tanstack/react-query";

import { atBase } from "../../../shared/base";
import { answerOf, api } from "../../../shared/api/client";
import { RequestError } from "../../../shared/api/problem";
import { type LogPart, fromLineStart, toWholeCharacter } from "../log";

/** Which part of a log to read. */
interface PartRequest {
  /** Where to start; negative values count from the end. */
  offset: number;
  /** Maximum number of bytes. */
  limit: number;
  /** Whether the part may begin in the middle of a line; that line is left out. */
  isCut: boolean;
  /** Size of the log when offset was found; 0 if offset does not depend on it. */
  seen: number;
}

const partBytes = 128 * 1024;
const contextBytes = 4 * 1024;

export const consoleLogKey = (nodeID: string, port: string) => ["console log", nodeID, port] as const;

/** Returns the URL of the whole log. */
export function logDownloadURL(nodeID: string, port: string): string {
  return atBase(
    `/api/nodes/${encodeURIComponent(nodeID)}/console/log?${new URLSearchParams({ port, download: "1" }).toString()}`,
  );
}

export async function readLog(
  nodeID: string,
  port: string,
  { offset, limit, isCut, seen }: PartRequest,
): Promise<LogPart> {
  const { data, response } = await answerOf(
    api.GET("/api/nodes/{id}/console/log", {
      params: { path: { id: nodeID }, query: { port, offset, limit } },
      parseAs: "arrayBuffer",
    }),
  );
  const bytes = new Uint8Array(data ?? new ArrayBuffer());
  const begin = Number(response.headers.get("X-Log-Offset"));
  const size = Number(response.headers.get("X-Log-Size"));
  if (size < seen) {
    throw new RequestError("The log was rotated. Reload it.", "log_moved", response.status);
  }
  const part = toWholeCharacter({ offset: begin, end: begin + bytes.length, bytes, size });
  return isCut ? fromLineStart(part) : part;
}

/** A matching line, and the size of the log when it was found. */
export interface Place {
  offset: number;
  size: number;
}

function firstRequest(place: Place | null): PartRequest {
  return place === null
    ? { offset: -partBytes, limit: partBytes, isCut: true, seen: 0 }
    : { offset: Math.max(0, place.offset - contextBytes), limit: partBytes, isCut: true, seen: place.size };
}

/** The log around an offset, or its end; older and newer parts are loaded on request. */
export function useLog(nodeID: string, port: string, place: Place | null) {
  return useInfiniteQuery({
    queryKey: [...consoleLogKey(nodeID, port), "parts", place],
    queryFn: ({ pageParam }) => readLog(nodeID, port, pageParam),
    initialPageParam: firstRequest(place),
    getPreviousPageParam: ({ offset: end, size: seen }): PartRequest | undefined => {
      const offset = Math.max(0, end - partBytes);
      return end === 0 ? undefined : { offset, limit: end - offset, isCut: true, seen };
    },
    getNextPageParam: ({ end, size: seen }): PartRequest => ({ offset: end, limit: partBytes, isCut: false, seen }),
    gcTime: 0, // each visit loads new output
  });
}

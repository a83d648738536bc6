import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Figures, Node } from "../../../shared/api/types";
import { isActive } from "../state";
import { nodeKey } from "./keys";

/** Points of a sparkline. */
const lately = 30;
const hourStep = 30; // seconds
/** Until the service has said how often it measures; milliseconds. */
const usualInterval = 10_000;

/** What several nodes used lately, by id. */
export type FiguresByNode = ReadonlyMap<string, readonly Figures[]>;

/**
 * What the running nodes used in the last minutes, as often as the service
 * measures it: figures are samples of no single moment's interest, so they are
 * no events. Nothing is asked for while the page is out of sight.
 */
export function useLatestFigures(isWanted: boolean): FiguresByNode | undefined {
  const { data } = useQuery({
    queryKey: ["figures"],
    queryFn: () => bodyOf(api.GET("/api/figures", { params: { query: { points: lately } } })),
    select: ({ nodes }) => new Map(nodes.map(({ id, points }) => [id, points])) as FiguresByNode,
    enabled: isWanted,
    staleTime: usualInterval,
    refetchInterval: (query) => (query.state.data?.interval ?? 0) * 1_000 || usualInterval,
  });
  return data;
}

/** What a node used in the last hour. */
export function useHourOfFigures(node: Node) {
  return useQuery({
    queryKey: [...nodeKey(node.id), "figures", node.started],
    queryFn: () =>
      bodyOf(api.GET("/api/nodes/{id}/figures", { params: { path: { id: node.id }, query: { step: hourStep } } })),
    staleTime: usualInterval,
    refetchInterval: isActive(node) ? usualInterval : false,
  });
}

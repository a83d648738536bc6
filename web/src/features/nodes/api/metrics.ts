import { useQuery } from "@tanstack/react-query";

import { api, bodyOf } from "../../../shared/api/client";
import type { Metrics, Node } from "../../../shared/api/types";
import { isActive } from "../state";
import { nodeKey } from "./keys";

/** Number of points in a sparkline. */
const lately = 30;
const hourStep = 30; // seconds
/** Used until the service has reported its sampling interval; milliseconds. */
const usualInterval = 10_000;

/** Recent metrics of several nodes, by ID. */
export type MetricsByNode = ReadonlyMap<string, readonly Metrics[]>;

/**
 * The metrics of the running nodes in the last minutes. They are polled at the sampling interval
 * of the service instead of being sent as events. Nothing is requested while the page is hidden.
 */
export function useLatestMetrics(isWanted: boolean): MetricsByNode | undefined {
  const { data } = useQuery({
    queryKey: ["metrics"],
    queryFn: () => bodyOf(api.GET("/api/figures", { params: { query: { points: lately } } })),
    select: ({ nodes }) => new Map(nodes.map(({ id, points }) => [id, points])) as MetricsByNode,
    enabled: isWanted,
    staleTime: usualInterval,
    refetchInterval: (query) => (query.state.data?.interval ?? 0) * 1_000 || usualInterval,
  });
  return data;
}

/** The metrics of a node in the last hour. */
export function useHourlyMetrics(node: Node) {
  return useQuery({
    queryKey: [...nodeKey(node.id), "metrics", node.started],
    queryFn: () =>
      bodyOf(api.GET("/api/nodes/{id}/figures", { params: { path: { id: node.id }, query: { step: hourStep } } })),
    staleTime: usualInterval,
    refetchInterval: isActive(node) ? usualInterval : false,
  });
}

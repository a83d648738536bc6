import { Card, CardBody, CardTitle, Skeleton } from "@patternfly/react-core";

import type { Metrics, Node } from "../../../shared/api/types";
import { formatBytes, formatPercent } from "../../../shared/format";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { TimeChart } from "../../../shared/ui/TimeChart";
import { useNow } from "../../../shared/useNow";
import { useHourlyMetrics } from "../api/metrics";

const hour = 3_600_000;
const mebibyte = 1024 ** 2;

/** Charts of a node's CPU, memory, disk and network usage in the last hour. */
export function NodeMetrics({ node }: { node: Node }) {
  const metrics = useHourlyMetrics(node);
  const until = useNow(10_000);
  const points = metrics.data?.points ?? [];
  const line = (valueOf: (point: Metrics) => number | undefined) =>
    points.flatMap((point) => {
      const value = valueOf(point);
      return value === undefined ? [] : [{ time: Date.parse(point.time), value }];
    });
  const common = { from: until - hour, until, interval: (metrics.data?.interval ?? 30) * 1_000 };
  const rate = (value: number) => `${formatBytes(Math.round(value))}/s`;
  const guestMemory = line((point) => point.guestMemory);
  return (
    <Card>
      <CardTitle component="h2">Last hour</CardTitle>
      <CardBody>
        {metrics.error && (
          <ProblemAlert
            title="Couldn't load the metrics"
            error={metrics.error}
            onRetry={() => void metrics.refetch()}
          />
        )}
        {metrics.isPending && <Skeleton height="10rem" screenreaderText="Loading the metrics" />}
        {metrics.data && points.length === 0 && <p className="sl-subtle">No data for the last hour.</p>}
        {points.length > 0 && (
          <div className="sl-charts">
            <TimeChart
              {...common}
              title="CPU"
              top={1}
              format={formatPercent}
              series={[
                { name: "CPU", color: "blue", points: line(({ cpu }) => cpu / Math.max(1, node.resources.cpus)) },
              ]}
            />
            <TimeChart
              {...common}
              title="Memory"
              isBytes
              top={node.resources.ram * mebibyte}
              format={formatBytes}
              series={[
                { name: "Host", color: "teal", points: line(({ memory }) => memory) },
                ...(guestMemory.length > 0 ? [{ name: "Guest", color: "orange", points: guestMemory } as const] : []),
              ]}
            />
            <TimeChart
              {...common}
              title="Disks"
              isBytes
              format={rate}
              series={[
                { name: "Read", color: "blue", points: line(({ diskRead }) => diskRead) },
                { name: "Written", color: "orange", points: line(({ diskWritten }) => diskWritten) },
              ]}
            />
            <TimeChart
              {...common}
              title="Networks"
              isBytes
              format={rate}
              series={[
                { name: "Received", color: "blue", points: line(({ netReceived }) => netReceived) },
                { name: "Sent", color: "orange", points: line(({ netSent }) => netSent) },
              ]}
            />
          </div>
        )}
      </CardBody>
    </Card>
  );
}

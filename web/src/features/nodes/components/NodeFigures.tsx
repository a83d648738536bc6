import { Card, CardBody, CardTitle, Skeleton } from "@patternfly/react-core";

import type { Figures, Node } from "../../../shared/api/types";
import { formatBytes, formatPercent } from "../../../shared/format";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { TimeChart } from "../../../shared/ui/TimeChart";
import { useNow } from "../../../shared/useNow";
import { useHourOfFigures } from "../api/figures";

const hour = 3_600_000;
const mebibyte = 1024 ** 2;

/** What a node used in the last hour: processors, memory, disks and networks. */
export function NodeFigures({ node }: { node: Node }) {
  const figures = useHourOfFigures(node);
  const until = useNow(10_000);
  const points = figures.data?.points ?? [];
  const line = (valueOf: (point: Figures) => number | undefined) =>
    points.flatMap((point) => {
      const value = valueOf(point);
      return value === undefined ? [] : [{ time: Date.parse(point.time), value }];
    });
  const common = { from: until - hour, until, interval: (figures.data?.interval ?? 30) * 1_000 };
  const rate = (value: number) => `${formatBytes(Math.round(value))}/s`;
  const guestMemory = line((point) => point.guestMemory);
  return (
    <Card>
      <CardTitle component="h2">Last hour</CardTitle>
      <CardBody>
        {figures.error && (
          <ProblemAlert title="The figures cannot be shown" error={figures.error} onRetry={() => void figures.refetch()} />
        )}
        {figures.isPending && <Skeleton height="10rem" screenreaderText="Loading the figures" />}
        {figures.data && points.length === 0 && (
          <p className="sl-subtle">Nothing was measured in the last hour: the node was off.</p>
        )}
        {points.length > 0 && (
          <div className="sl-charts">
            <TimeChart
              {...common}
              title="CPU"
              top={1}
              format={formatPercent}
              series={[{ name: "CPU", color: "blue", points: line(({ cpu }) => cpu / Math.max(1, node.resources.cpus)) }]}
            />
            <TimeChart
              {...common}
              title="Memory"
              isBytes
              top={node.resources.ram * mebibyte}
              format={formatBytes}
              series={[
                { name: "Of the host", color: "teal", points: line(({ memory }) => memory) },
                ...(guestMemory.length > 0 ? [{ name: "In the guest", color: "orange", points: guestMemory } as const] : []),
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

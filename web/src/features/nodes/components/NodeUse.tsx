import type { Metrics, Node } from "../../../shared/api/types";
import { formatBytes, formatPercent } from "../../../shared/format";
import { Sparkline } from "../../../shared/ui/Sparkline";
import { isActive } from "../state";

interface NodeUseProps {
  node: Node;
  points: readonly Metrics[] | undefined;
  what: "cpu" | "memory";
}

const mebibyte = 1024 ** 2;

/** A node's recent CPU or memory usage: a sparkline and the latest value. */
export function NodeUse({ node, points, what }: NodeUseProps) {
  const last = points?.at(-1);
  if (!points || !last || !isActive(node)) {
    return <span className="sl-use" />;
  }
  const text = what === "cpu" ? formatPercent(last.cpu / Math.max(1, node.resources.cpus)) : formatBytes(last.memory);
  const name = what === "cpu" ? "CPU" : "Memory";
  return (
    <span className="sl-use" data-use={what}>
      <Sparkline
        values={points.map((point) => point[what])}
        most={what === "cpu" ? node.resources.cpus : node.resources.ram * mebibyte}
        label={`${name}: ${text}`}
        color={what === "cpu" ? "blue" : "teal"}
      />
      <span className="sl-subtle" aria-hidden>
        {text}
      </span>
    </span>
  );
}

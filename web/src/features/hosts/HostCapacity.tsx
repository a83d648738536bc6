import { Progress, ProgressMeasureLocation, ProgressVariant } from "@patternfly/react-core";
import { useId } from "react";

import type { Host, Node } from "../../shared/api/types";
import { formatBytes, plural } from "../../shared/format";
import { committedTo, disksOf, forecastOf, savingOf, warnFrom } from "./capacity";
import "./HostCapacity.css";

interface HostCapacityProps {
  host: Host;
  /** All nodes that are known, of which those on the host count. */
  nodes: readonly Node[];
  /** Whether the name is told above already. */
  isNamed?: boolean;
}

/** How much of a host is given away, as bars: CPUs and RAM to the nodes that are on, the disk to what its pools hold. */
export function HostCapacity({ host, nodes, isNamed = false }: HostCapacityProps) {
  const { cpus, ramBytes, nodes: on } = committedTo(host.name, nodes);
  const forecast = forecastOf(host.pools);
  const saving = savingOf(host.pools);
  return (
    <div className="sl-capacity" data-host={host.name}>
      <div className="sl-capacity__host">
        {!isNamed && <b>{host.name}</b>}
        <span className="sl-subtle">
          {host.state === "connected"
            ? [
                `${plural(on, "node")} on`,
                host.accelerator === "qemu" ? "software emulation" : host.accelerator.toUpperCase(),
              ].join(" · ")
            : host.state}
        </span>
      </div>
      {host.cpus > 0 && (
        <Bar title="CPUs" value={cpus / host.cpus} mayExceed text={`${cpus} of ${host.cpus} given to nodes`} />
      )}
      {host.memoryBytes > 0 && (
        <Bar
          title="RAM"
          value={ramBytes / host.memoryBytes}
          text={`${formatBytes(ramBytes)} of ${formatBytes(host.memoryBytes)} given to nodes`}
        />
      )}
      {disksOf(host.pools).map(({ roles, capacity, available, level }) => (
        <Bar
          key={roles}
          title={`Disk (${roles})`}
          value={1 - available / capacity}
          text={`${formatBytes(available)} of ${formatBytes(capacity)} free${level === "critical" ? "; nothing more is made until some is freed" : ""}`}
          {...(level === "ok" ? {} : { level })}
        />
      ))}
      {forecast !== "" && (
        <p className="sl-subtle" data-forecast>
          {forecast}.
        </p>
      )}
      {saving && (
        <p className="sl-subtle" data-saving>
          Nodes share their images: {formatBytes(saving.taken)} on the disk in place of {formatBytes(saving.copies)} (
          {saving.times.toFixed(saving.times < 10 ? 1 : 0)} times as much).
        </p>
      )}
    </div>
  );
}

interface BarProps {
  title: string;
  /** The share that is given away, from 0; above 1 where more is given than is there. */
  value: number;
  text: string;
  /** Whether more may be given away than there is without anything being wrong. */
  mayExceed?: boolean;
  /** What the service says of it, in place of what the share tells. */
  level?: "warning" | "critical";
}

function Bar({ title, value, text, mayExceed = false, level }: BarProps) {
  const id = useId();
  const percent = Math.round(value * 100);
  const variant =
    level !== undefined
      ? level === "warning"
        ? ProgressVariant.warning
        : ProgressVariant.danger
      : mayExceed || value < warnFrom.warning
      ? undefined
      : value < warnFrom.danger
        ? ProgressVariant.warning
        : ProgressVariant.danger;
  return (
    <Progress
      id={id}
      size="sm"
      title={title}
      value={Math.min(100, percent)}
      label={`${percent} %`}
      valueText={`${percent} %: ${text}`}
      helperText={text}
      measureLocation={ProgressMeasureLocation.top}
      {...(variant === undefined ? {} : { variant })}
    />
  );
}

import { Progress, ProgressMeasureLocation, ProgressVariant } from "@patternfly/react-core";
import { useId } from "react";

import type { Host, Node } from "../../shared/api/types";
import { formatBytes } from "../../shared/format";
import { committedTo, disksOf, forecastOf, savingOf, warnFrom } from "./capacity";
import "./HostCapacity.css";

interface HostCapacityProps {
  host: Host;
  /** All known nodes; those on the host are counted. */
  nodes: readonly Node[];
  /** Whether the host's name is already shown above. */
  isNamed?: boolean;
}

/** How much of a host is allocated, as bars: CPUs and RAM of running nodes, and the disk space of its pools. */
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
                `${on} running`,
                host.accelerator === "qemu" ? "software emulation" : host.accelerator.toUpperCase(),
              ].join(" · ")
            : host.state}
        </span>
      </div>
      {host.cpus > 0 && (
        <Bar title="CPUs" value={cpus / host.cpus} mayExceed text={`${cpus} of ${host.cpus} allocated`} />
      )}
      {host.memoryBytes > 0 && (
        <Bar
          title="RAM"
          value={ramBytes / host.memoryBytes}
          text={`${formatBytes(ramBytes)} of ${formatBytes(host.memoryBytes)} allocated`}
        />
      )}
      {disksOf(host.pools).map(({ roles, capacity, available, level }) => (
        <Bar
          key={roles}
          title={`Disk (${roles})`}
          value={1 - available / capacity}
          text={`${formatBytes(available)} of ${formatBytes(capacity)} free${level === "critical" ? "; too full for new nodes and images" : ""}`}
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
          Shared images save {formatBytes(saving.copies - saving.taken)} (
          {saving.times.toFixed(saving.times < 10 ? 1 : 0)}×).
        </p>
      )}
    </div>
  );
}

interface BarProps {
  title: string;
  /** The allocated share, from 0; above 1 if the resource is overcommitted. */
  value: number;
  text: string;
  /** Whether overcommitting is fine. */
  mayExceed?: boolean;
  /** The level that the service reports; it overrides the one that follows from the share. */
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

import { Progress, ProgressMeasureLocation, ProgressVariant } from "@patternfly/react-core";
import { useId } from "react";

import type { Host } from "../../shared/api/types";
import { formatBytes, plural } from "../../shared/format";
import { useHosts } from "./api/listHosts";
import "./HostsPage.css";

type Pool = Host["pools"][number];

/** The free space in the hosts' pools of one role. */
export function PoolSpace({ role }: { role: Pool["role"] }) {
  const hosts = useHosts();
  const pools = hosts.data?.flatMap((host) =>
    host.pools.filter((pool) => pool.role === role).map((pool) => ({ host, pool })),
  );
  return pools && pools.length > 0 ? (
    <div className="sl-pools">
      {pools.map(({ host, pool }) => (
        <PoolBar
          key={host.name}
          pool={pool}
          title={hosts.data?.length === 1 ? "Images pool" : `Images pool of ${host.name}`}
        />
      ))}
    </div>
  ) : null;
}

/** How full one pool is, and how many more images or nodes it can hold. */
export function PoolBar({ pool, title }: { pool: Pool; title: string }) {
  const id = useId();
  const percent = pool.capacity > 0 ? Math.round((1 - pool.available / pool.capacity) * 100) : 0;
  const text = [`${formatBytes(pool.available)} of ${formatBytes(pool.capacity)} free`, fits(pool)]
    .filter(Boolean)
    .join(", ");
  const variants = { ok: undefined, warning: ProgressVariant.warning, critical: ProgressVariant.danger } as const;
  const variant = variants[pool.level];
  return (
    <Progress
      id={id}
      size="sm"
      title={title}
      value={percent}
      label={`${percent} %`}
      valueText={`${percent} %: ${text}`}
      helperText={text}
      measureLocation={ProgressMeasureLocation.top}
      data-level={pool.level}
      {...(variant ? { variant } : {})}
    />
  );
}

function fits({ level, role, roomForImages, roomForNodes }: Pool): string {
  if (level === "critical") {
    return "too full for new images";
  }
  const count = role === "images" ? roomForImages : roomForNodes;
  return count === undefined ? "" : `enough for about ${plural(count, role === "images" ? "more image" : "more node")}`;
}

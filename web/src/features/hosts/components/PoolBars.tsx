import { Progress, ProgressMeasureLocation, ProgressVariant } from "@patternfly/react-core";
import { useId } from "react";

import type { Host } from "../../../shared/api/types";
import { formatBytes } from "../../../shared/format";
import { warnFrom } from "../capacity";

const titles: Record<Host["pools"][number]["role"], string> = { images: "Images", nodes: "Nodes' disks", logs: "Logs" };

/** How full each of a host's pools is. */
export function PoolBars({ pools }: { pools: Host["pools"] }) {
  const id = useId();
  return (
    <div className="sl-pools">
      {pools.map((pool) => {
        const share = pool.capacity > 0 ? 1 - pool.available / pool.capacity : 0;
        const percent = Math.round(share * 100);
        const variant =
          share < warnFrom.warning ? undefined : share < warnFrom.danger ? ProgressVariant.warning : ProgressVariant.danger;
        const text = `${formatBytes(pool.available)} of ${formatBytes(pool.capacity)} free`;
        return (
          <div key={pool.role}>
            <Progress
              id={`${id}-${pool.role}`}
              size="sm"
              title={titles[pool.role]}
              value={percent}
              label={`${percent} %`}
              valueText={`${percent} %: ${text}`}
              helperText={text}
              measureLocation={ProgressMeasureLocation.top}
              {...(variant ? { variant } : {})}
            />
            <div className="sl-subtle sl-break">
              <code>{pool.name}</code> at <code>{pool.path}</code>
            </div>
          </div>
        );
      })}
    </div>
  );
}

import type { Host } from "../../../shared/api/types";
import { formatBytes } from "../../../shared/format";
import { PoolBar } from "../PoolSpace";

type Pool = Host["pools"][number];

const titles: Record<Pool["role"], string> = { images: "Images", nodes: "Nodes' disks", logs: "Logs" };

/** How full each of a host's pools is, and what it contains. */
export function PoolBars({ pools }: { pools: readonly Pool[] }) {
  return (
    <div className="sl-pools">
      {pools.map((pool) => (
        <div key={pool.role}>
          <PoolBar pool={pool} title={titles[pool.role]} />
          <div className="sl-subtle">{contents(pool)}</div>
          <div className="sl-subtle sl-break">
            <code>{pool.name}</code> at <code>{pool.path}</code>
          </div>
        </div>
      ))}
    </div>
  );
}

/** Describes the contents of a pool. */
function contents({ shares, overlayEfficiency, fullCopies }: Pool): string {
  const parts = [
    shares.images > 0 ? `images ${formatBytes(shares.images)}` : "",
    shares.overlays > 0 ? `overlays ${formatBytes(shares.overlays)}` : "",
    shares.uploads > 0 ? `reserved for uploads ${formatBytes(shares.uploads)}` : "",
  ].filter(Boolean);
  const saved =
    overlayEfficiency !== undefined && fullCopies !== undefined && overlayEfficiency > 1
      ? `Full copies would take ${formatBytes(fullCopies)} (${overlayEfficiency.toFixed(1)}×).`
      : "";
  return [parts.length > 0 ? `Contains ${parts.join(", ")}.` : "", saved].filter(Boolean).join(" ");
}

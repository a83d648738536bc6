import { Progress, ProgressMeasureLocation, ProgressVariant } from "@patternfly/react-core";
import { useId } from "react";

import type { Account } from "../../../shared/api/types";
import { bounds, shareOf, usageOf } from "../quota";

/** An account's usage, as bars if there is a limit. */
export function UsageBars({ account }: { account: Account }) {
  const id = useId();
  return (
    <div className="sl-usage">
      {usageOf(account).map((usage) => {
        const { label } = bounds[usage.name];
        const share = shareOf(usage);
        const percent = Math.round(share * 100);
        const variant = share >= 1 ? ProgressVariant.danger : share >= 0.8 ? ProgressVariant.warning : undefined;
        return usage.most === undefined ? (
          <div key={usage.name} className="sl-usage__free">
            <span>{label}</span>
            <span className="sl-subtle">{usage.text} (no limit)</span>
          </div>
        ) : (
          <Progress
            key={usage.name}
            id={`${id}-${usage.name}`}
            size="sm"
            title={label}
            value={Math.min(100, percent)}
            label={usage.text}
            valueText={`${usage.text}, ${percent} %`}
            measureLocation={ProgressMeasureLocation.top}
            {...(variant ? { variant } : {})}
          />
        );
      })}
    </div>
  );
}

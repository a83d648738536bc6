import { Alert } from "@patternfly/react-core";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

import { atBase } from "../shared/base";
import { sessionKey } from "../features/session/api/session";
import { changeLog } from "../shared/live/changes";
import { EventFeed } from "../shared/live/feed";
import { applyChange, refetchAll } from "./liveChanges";

const noticeAfter = 3_000;

/** Keeps the cached data up to date while it is mounted, and shows a banner when it can't. */
export function LiveUpdates() {
  const queries = useQueryClient();
  const [isLate, setLate] = useState(false);
  useEffect(() => {
    const feed = new EventFeed(atBase("/api/events"), {
      onChange: (change) => {
        changeLog.add(change);
        applyChange(queries, change);
      },
      onReset: () => {
        changeLog.reset();
        void refetchAll(queries);
      },
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const unsubscribe = feed.subscribe(() => {
      clearTimeout(timer);
      if (feed.state() === "interrupted") {
        // A short gap is not worth a banner.
        timer = setTimeout(() => {
          setLate(true);
          // An expired sign-in shows here first.
          void queries.invalidateQueries({ queryKey: sessionKey });
        }, noticeAfter);
      } else {
        setLate(false);
      }
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
      feed.close();
    };
  }, [queries]);
  return isLate ? (
    <Alert
      component="h2"
      isInline
      isLiveRegion
      variant="warning"
      className="sl-banner"
      title="Connection lost. Data may be out of date. Reconnecting…"
    />
  ) : null;
}

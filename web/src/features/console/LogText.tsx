import { Button, EmptyState, EmptyStateBody } from "@patternfly/react-core";
import ListIcon from "@patternfly/react-icons/dist/esm/icons/list-icon";
import { useQueryClient } from "@tanstack/react-query";
import { memo, useLayoutEffect, useRef } from "react";

import { formatBytes } from "../../shared/format";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { LogLoading } from "./LogLoading";
import { type Place, consoleLogKey, useLog } from "./api/readLog";
import { type LogPart, aroundLine, readable } from "./log";

interface LogTextProps {
  nodeID: string;
  nodeName: string;
  port: string;
  /** The line to scroll to and highlight; null shows the end. */
  place: Place | null;
}

/** The log's text at an offset or at its end; older and newer parts are loaded on request. */
export function LogText({ nodeID, nodeName, port, place }: LogTextProps) {
  const log = useLog(nodeID, port, place);
  const queries = useQueryClient();
  const box = useRef<HTMLDivElement>(null);
  const line = useRef<HTMLElement>(null);
  const shown = useRef({ first: -1, height: 0 });
  const parts = log.data?.pages ?? [];
  const first = parts[0];
  const last = parts.at(-1);

  useLayoutEffect(() => {
    const element = box.current;
    if (!element || !first) {
      return;
    }
    const before = shown.current;
    if (before.first < 0) {
      if (line.current) {
        // Not scrollIntoView, which would scroll the page too.
        element.scrollTop +=
          line.current.getBoundingClientRect().top - element.getBoundingClientRect().top - element.clientHeight / 3;
      } else {
        element.scrollTop = element.scrollHeight;
      }
    } else if (first.offset < before.first) {
      // Older lines were added above: keep the scroll position.
      element.scrollTop += element.scrollHeight - before.height;
    }
    shown.current = { first: first.offset, height: element.scrollHeight };
  }, [first, last]);

  if (log.isPending) {
    return <LogLoading />;
  }
  return (
    <>
      {log.error && (
        <ProblemAlert
          title="Couldn't load the log"
          error={log.error}
          onRetry={() => void queries.resetQueries({ queryKey: consoleLogKey(nodeID, port) })}
        />
      )}
      {last?.size === 0 && (
        <EmptyState variant="sm" headingLevel="h2" icon={ListIcon} titleText="No output yet">
          <EmptyStateBody>
            Output of {nodeName} on this port is kept here, also while the node is stopped.
          </EmptyStateBody>
        </EmptyState>
      )}
      {first && last && last.size > 0 && (
        <div className="sl-log__text" ref={box} tabIndex={0} role="region" aria-label={`Log of ${nodeName}`}>
          {log.hasPreviousPage ? (
            <Button
              variant="secondary"
              size="sm"
              isLoading={log.isFetchingPreviousPage}
              isDisabled={log.isFetching}
              onClick={() => void log.fetchPreviousPage()}
            >
              Show older ({formatBytes(first.offset)} before this)
            </Button>
          ) : (
            <p className="sl-subtle">Start of log</p>
          )}
          <pre className="sl-log__lines">
            {parts.map((part) => (
              <PartText key={part.offset} part={part} place={place} lineRef={line} />
            ))}
          </pre>
          <Button
            variant="secondary"
            size="sm"
            isLoading={log.isFetchingNextPage}
            isDisabled={log.isFetching}
            onClick={() => void log.fetchNextPage()}
          >
            {last.end < last.size ? `Show newer (${formatBytes(last.size - last.end)} after this)` : "Refresh"}
          </Button>
        </div>
      )}
    </>
  );
}

interface PartTextProps {
  part: LogPart;
  place: Place | null;
  lineRef: React.Ref<HTMLElement>;
}

const PartText = memo(function PartText({ part, place, lineRef }: PartTextProps) {
  if (!place || place.offset < part.offset || place.offset >= part.end) {
    return readable(part.bytes);
  }
  const { before, line, after } = aroundLine(part, place.offset);
  return (
    <>
      {before}
      <mark ref={lineRef}>{line}</mark>
      {after}
    </>
  );
});

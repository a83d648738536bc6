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
  /** The line that is shown and marked; null shows the end. */
  place: Place | null;
}

/** The log's text from a place or from its end, with older and newer parts when they are asked for. */
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
        // Not scrollIntoView: the page itself stays where it is.
        element.scrollTop += line.current.getBoundingClientRect().top - element.getBoundingClientRect().top - element.clientHeight / 3;
      } else {
        element.scrollTop = element.scrollHeight;
      }
    } else if (first.offset < before.first) {
      // Older lines came above: what was read stays in its place.
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
          title="The log cannot be read"
          error={log.error}
          onRetry={() => void queries.resetQueries({ queryKey: consoleLogKey(nodeID, port) })}
        />
      )}
      {last?.size === 0 && (
        <EmptyState variant="sm" headingLevel="h2" icon={ListIcon} titleText="Nothing was printed yet">
          <EmptyStateBody>What {nodeName} prints to this port is kept here, also while the node is off.</EmptyStateBody>
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
            <p className="sl-subtle">The log begins here.</p>
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
            {last.end < last.size ? `Show newer (${formatBytes(last.size - last.end)} after this)` : "Look for more"}
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

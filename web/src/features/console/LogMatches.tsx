import { Button } from "@patternfly/react-core";
import TimesIcon from "@patternfly/react-icons/dist/esm/icons/times-icon";
import { Fragment } from "react";

import { plural } from "../../shared/format";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { LogLoading } from "./LogLoading";
import type { Place } from "./api/readLog";
import { useLogSearch } from "./api/searchLog";
import { readable, splitAround } from "./log";

interface LogMatchesProps {
  nodeID: string;
  port: string;
  text: string;
  /** Offset of the selected line. */
  chosen: number | undefined;
  onChoose: (place: Place) => void;
  onClose: () => void;
}

/** The lines of the log that contain a text; each links to its position. */
export function LogMatches({ nodeID, port, text, chosen, onChoose, onClose }: LogMatchesProps) {
  const search = useLogSearch(nodeID, port, text);
  const pages = search.data?.pages ?? [];
  const matches = pages.flatMap(({ matches: lines, size }) => lines.map((line) => ({ ...line, size })));
  return (
    <section className="sl-log__matches" aria-label="Matching lines">
      <div className="sl-log__bar">
        <span role="status">
          {search.data && `${plural(matches.length, "line")}${search.hasNextPage ? " and more" : ""} with “${text}”`}
        </span>
        <span className="sl-console__gap" />
        <Button variant="plain" size="sm" icon={<TimesIcon />} aria-label="Close search" onClick={onClose} />
      </div>
      {search.isPending && <LogLoading />}
      {search.error && (
        <ProblemAlert title="Couldn't search the log" error={search.error} onRetry={() => void search.refetch()} />
      )}
      <ul className="sl-log__found">
        {matches.map(({ offset, line, size }) => (
          <li key={offset}>
            <button
              type="button"
              {...(offset === chosen ? { "aria-current": true } : {})}
              onClick={() => onChoose({ offset, size })}
            >
              {splitAround(readable(line), text).map((piece, index) => (
                <Fragment key={index}>{index % 2 === 1 ? <mark>{piece}</mark> : piece}</Fragment>
              ))}
            </button>
          </li>
        ))}
      </ul>
      {search.hasNextPage && (
        <Button
          variant="link"
          isLoading={search.isFetchingNextPage}
          isDisabled={search.isFetching}
          onClick={() => void search.fetchNextPage()}
        >
          Search further
        </Button>
      )}
    </section>
  );
}

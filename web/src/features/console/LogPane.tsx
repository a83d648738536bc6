import { Button, EmptyState, EmptyStateBody, SearchInput } from "@patternfly/react-core";
import DownloadIcon from "@patternfly/react-icons/dist/esm/icons/download-icon";
import ListIcon from "@patternfly/react-icons/dist/esm/icons/list-icon";
import { useState } from "react";

import type { SerialPort } from "../../shared/api/types";
import { LogMatches } from "./LogMatches";
import { LogText } from "./LogText";
import { PortChoice } from "./PortChoice";
import { type Place, logDownloadURL } from "./api/readLog";

interface LogPaneProps {
  nodeID: string;
  nodeName: string;
  ports: readonly SerialPort[];
  /** The name of the port. */
  port: string;
  onPort: (port: string) => void;
}

/**
 * The log of a node's serial console, also of earlier runs: it can be read, searched and
 * downloaded, whether the node runs or not. Use node and port as its React key.
 */
export default function LogPane({ nodeID, nodeName, ports, port, onPort }: LogPaneProps) {
  const [typed, setTyped] = useState("");
  const [searched, setSearched] = useState("");
  const [place, setPlace] = useState<Place | null>(null);
  // Counts how often the log was reloaded from its end.
  const [reading, setReading] = useState(0);
  const isLogged = ports.some(({ name, logged }) => name === port && logged);

  const clear = () => {
    setTyped("");
    setSearched("");
  };
  return (
    <div className="sl-console">
      <div className="sl-log__bar">
        <PortChoice ports={ports} port={port} needs="logged" onChange={onPort} />
        {isLogged && (
          <>
            <SearchInput
              className="sl-log__search"
              aria-label="Search the log"
              placeholder="Search the log"
              value={typed}
              onChange={(_event, value) => setTyped(value)}
              onSearch={(_event, value) => setSearched(value)}
              onClear={clear}
            />
            <span className="sl-console__gap" />
            <Button
              variant="link"
              onClick={() => {
                setPlace(null);
                setReading(reading + 1);
              }}
            >
              Jump to end
            </Button>
            <Button
              variant="link"
              icon={<DownloadIcon />}
              component="a"
              href={logDownloadURL(nodeID, port)}
              download
              aria-label="Download log"
            >
              Download
            </Button>
          </>
        )}
      </div>
      {searched !== "" && (
        <LogMatches
          key={searched}
          nodeID={nodeID}
          port={port}
          text={searched}
          chosen={place?.offset}
          onChoose={setPlace}
          onClose={clear}
        />
      )}
      {isLogged ? (
        <LogText
          key={place ? `at ${place.offset}` : `end ${reading}`}
          nodeID={nodeID}
          nodeName={nodeName}
          port={port}
          place={place}
        />
      ) : (
        <EmptyState variant="sm" headingLevel="h2" icon={ListIcon} titleText="No log for this port">
          <EmptyStateBody>
            Add <code>&lt;log file=…/&gt;</code> to the serial port with <code>virsh edit {nodeName}</code>.
          </EmptyStateBody>
        </EmptyState>
      )}
    </div>
  );
}

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
  /** The name of the port whose log is shown. */
  port: string;
  onPort: (port: string) => void;
}

/**
 * What a node's serial console has printed, now and in earlier runs: to be
 * read, searched and downloaded, whether the node runs or not. Give it node
 * and port as key.
 */
export default function LogPane({ nodeID, nodeName, ports, port, onPort }: LogPaneProps) {
  const [typed, setTyped] = useState("");
  const [searched, setSearched] = useState("");
  const [place, setPlace] = useState<Place | null>(null);
  // Counts how often the log was read anew from its end.
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
              Newest
            </Button>
            <Button
              variant="link"
              icon={<DownloadIcon />}
              component="a"
              href={logDownloadURL(nodeID, port)}
              download
              aria-label="Download the log"
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
        <EmptyState variant="sm" headingLevel="h2" icon={ListIcon} titleText="Nothing records this port">
          <EmptyStateBody>
            Nodes that are made here have a log. Give others one with <code>virsh edit {nodeName}</code>: a{" "}
            <code>&lt;log file=…/&gt;</code> in the serial port.
          </EmptyStateBody>
        </EmptyState>
      )}
    </div>
  );
}

import {
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Label,
  LabelGroup,
  Popover,
} from "@patternfly/react-core";
import DisconnectedIcon from "@patternfly/react-icons/dist/esm/icons/disconnected-icon";
import InProgressIcon from "@patternfly/react-icons/dist/esm/icons/in-progress-icon";
import InfoCircleIcon from "@patternfly/react-icons/dist/esm/icons/info-circle-icon";
import ServerIcon from "@patternfly/react-icons/dist/esm/icons/server-icon";
import type { ReactNode } from "react";

import type { Host } from "../../shared/api/types";
import { formatBytes, plural } from "../../shared/format";
import { useHosts } from "./api/listHosts";

/** The hosts in one line; clicking one shows its details. */
export function HostStrip() {
  const hosts = useHosts();
  if (!hosts.data || hosts.data.length === 0) {
    return null;
  }
  return (
    <LabelGroup aria-label="Hosts" numLabels={8} className="sl-hosts">
      {hosts.data.map((host) => (
        <HostLabel key={host.name} host={host} />
      ))}
    </LabelGroup>
  );
}

const icons: Record<Host["state"], ReactNode> = {
  connected: <ServerIcon />,
  connecting: <InProgressIcon className="sl-spin" />,
  unreachable: <DisconnectedIcon />,
};

function HostLabel({ host }: { host: Host }) {
  const summary = [
    host.name,
    ...(host.cpus ? [plural(host.cpus, "CPU")] : []),
    ...(host.memoryBytes ? [formatBytes(host.memoryBytes)] : []),
    ...(host.state === "connected" ? [] : [host.state]),
  ].join(" · ");
  const notes = notesOf(host);
  return (
    <Popover
      headerContent={`Host ${host.name}`}
      bodyContent={
        <>
          <DescriptionList isCompact isHorizontal horizontalTermWidthModifier={{ default: "10ch" }}>
            <Detail term="URI" value={host.uri} />
            <Detail term="libvirt" value={host.libvirtVersion} />
            <Detail term="QEMU" value={host.hypervisorVersion} />
            <Detail term="Accelerator" value={host.accelerator} />
            <Detail term="Network" value={host.network} />
          </DescriptionList>
          {notes.map((note) => (
            <p key={note} className="sl-host-note">
              {note}
            </p>
          ))}
        </>
      }
    >
      <Label
        variant="outline"
        color={host.state === "unreachable" ? "red" : "grey"}
        icon={icons[host.state]}
        onClick={() => undefined}
      >
        {summary}
        {host.state === "connected" && host.accelerator === "qemu" && " · software emulation"}
        {notes.length > 0 && <InfoCircleIcon className="sl-host-info" aria-label="with notes" />}
      </Label>
    </Popover>
  );
}

/** Limitations of a connected host that users should know about. */
function notesOf(host: Host): string[] {
  const notes: string[] = [];
  if (host.state === "connected" && host.accelerator === "qemu") {
    notes.push(host.acceleratorReason || "Nodes use software emulation, which is slow.");
  }
  if (host.state === "connected" && host.network === "user") {
    notes.push(
      "New nodes get user-mode networking: they reach out, also to services on the host's loopback address, but can't be reached. Start libvirt's default network instead: virsh net-start default.",
    );
  }
  if (host.state === "connected" && host.network === "none") {
    notes.push(
      "The default network isn't running. New nodes need another network, or none. Start it with: virsh net-start default.",
    );
  }
  return notes;
}

function Detail({ term, value }: { term: string; value: string | undefined }) {
  return value ? (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription className="sl-break">{value}</DescriptionListDescription>
    </DescriptionListGroup>
  ) : null;
}

import {
  Alert,
  Card,
  CardBody,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Gallery,
} from "@patternfly/react-core";
import type { ReactNode } from "react";
import { Link } from "react-router";

import type { Node } from "../../../shared/api/types";
import { formatBytes, formatRAM, plural } from "../../../shared/format";
import { firmwareNames } from "../../../shared/firmware";
import { paths } from "../../../shared/paths";
import { Ago } from "../../../shared/ui/Ago";
import { CopyButton } from "../../../shared/ui/CopyButton";
import { hasScreen } from "../api/screenshot";
import { NodeMetrics } from "./NodeMetrics";
import { NodeTags } from "./NodeTags";
import { NodeThumbnail } from "./NodeThumbnail";

/** A node's properties, screen and recent usage. */
export function NodeOverview({ node }: { node: Node }) {
  const { ram, cpus, disk } = node.resources;
  return (
    <div className="sl-overview">
      {node.problem && (
        <Alert component="h2" isInline variant="warning" title="Node problem">
          {node.problem}
        </Alert>
      )}
      {node.warnings.map((warning) => (
        <Alert key={warning} component="h2" isInline variant="warning" title="Network interface can reach the host">
          {warning}
        </Alert>
      ))}
      {node.next && (
        <Alert component="h2" isInline variant="info" title="New size after restart">
          {formatRAM(node.next.ram)} of RAM, {plural(node.next.cpus, "CPU")}.
        </Alert>
      )}
      {(node.description !== "" || node.tags.length > 0) && (
        <div>
          {node.description !== "" && <p className="sl-overview__description">{node.description}</p>}
          {node.tags.length > 0 && (
            <div className="sl-overview__tags">
              <NodeTags tags={node.tags} />
            </div>
          )}
        </div>
      )}
      <Gallery hasGutter minWidths={{ default: "min(100%, 22rem)" }}>
        <Facts title="Machine">
          <Fact term="RAM">{formatRAM(ram)}</Fact>
          <Fact term="CPUs">{cpus}</Fact>
          <Fact term="Disk">{disk ? formatBytes(disk) : null}</Fact>
          <Fact term="Virtualization">
            {node.accelerator === "qemu" ? "software emulation (no KVM)" : node.accelerator.toUpperCase()}
          </Fact>
          <Fact term="Firmware">{firmwareNames[node.firmware] + (node.tpm ? ", TPM" : "")}</Fact>
          <Fact term="Addresses">
            {node.addresses.length > 0 &&
              node.addresses.map((address) => (
                <div key={address}>
                  <Copyable text={address} label={`Copy address ${address}`} />
                </div>
              ))}
          </Fact>
          <Fact term="Networks">{node.networks.join(", ")}</Fact>
          <Fact term="Autostart">{node.autostart && "when the host boots"}</Fact>
        </Facts>
        <Facts title="Origin">
          <Fact term="Image">{node.image && <ImageLink image={node.image} />}</Fact>
          <Fact term="Operating system">{node.osType}</Fact>
          <Fact term="Owner">{node.owner}</Fact>
          <Fact term="Created">{node.created && <Ago time={node.created} />}</Fact>
          <Fact term="Started">{node.started && node.state !== "stopped" && <Ago time={node.started} />}</Fact>
          <Fact term="Snapshots">
            {node.snapshots > 0 && (
              <Link to={paths.nodeTab(node.id, "snapshots")}>
                {node.currentSnapshot ? `${node.snapshots} (current: ${node.currentSnapshot})` : node.snapshots}
              </Link>
            )}
          </Fact>
        </Facts>
        <Facts title="Details">
          <Fact term="Host">
            <Link to={paths.nodesOn(node.host)}>{node.host}</Link>
          </Fact>
          <Fact term="Domain">{node.name}</Fact>
          <Fact term="UUID">
            <Copyable text={node.id} label="Copy the UUID" />
          </Fact>
          <Fact term="Overlay">
            {node.overlayPath && <Copyable text={node.overlayPath} label="Copy the overlay's path" />}
          </Fact>
          <Fact term={node.vnc?.socket ? "VNC socket" : "VNC port"}>{node.vnc?.socket ?? node.vnc?.port}</Fact>
        </Facts>
      </Gallery>
      <div className="sl-overview__live">
        <NodeMetrics node={node} />
        {hasScreen(node) && (
          <Card>
            <CardTitle component="h2">Screen</CardTitle>
            <CardBody>
              <Link to={paths.screen(node.id)} aria-label={`Open screen of ${node.name}`}>
                <NodeThumbnail node={node} />
              </Link>
            </CardBody>
          </Card>
        )}
      </div>
    </div>
  );
}

/** A link to the image; only its name if it no longer exists. */
function ImageLink({ image }: { image: NonNullable<Node["image"]> }) {
  const name = image.name || image.id;
  return image.size > 0 ? <Link to={paths.image(image.id)}>{name}</Link> : `${name} (deleted)`;
}

function Facts({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card>
      <CardTitle component="h2">{title}</CardTitle>
      <CardBody>
        <DescriptionList isCompact isHorizontal horizontalTermWidthModifier={{ default: "12ch" }}>
          {children}
        </DescriptionList>
      </CardBody>
    </Card>
  );
}

/** One property; renders nothing if it has no value. */
function Fact({ term, children }: { term: string; children: ReactNode }) {
  if (children === undefined || children === null || children === "" || children === false) {
    return null;
  }
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription className="sl-break">{children}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}

function Copyable({ text, label }: { text: string; label: string }) {
  return (
    <span className="sl-copyable">
      <code>{text}</code> <CopyButton text={text} label={label} />
    </span>
  );
}

import {
  Alert,
  Button,
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  Label,
  PageSection,
  Skeleton,
  Title,
} from "@patternfly/react-core";
import SyncAltIcon from "@patternfly/react-icons/dist/esm/icons/sync-alt-icon";
import { Link } from "react-router";

import type { Change, Host, Network, Node } from "../../shared/api/types";
import { formatBytes, plural } from "../../shared/format";
import { paths } from "../../shared/paths";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useToasts } from "../../shared/ui/toasts";
import { HostCapacity } from "./HostCapacity";
import "./HostsPage.css";
import { useChanges } from "./api/changes";
import { useHosts } from "./api/listHosts";
import { useNetworks } from "./api/listNetworks";
import { useRefreshHost } from "./api/refreshHost";
import { NetworksTable } from "./components/NetworksTable";
import { PoolBars } from "./components/PoolBars";
import { UnfinishedChanges } from "./components/UnfinishedChanges";

interface HostsPageProps {
  nodes: readonly Node[];
  isAdmin: boolean;
}

/** The libvirt hosts with their state, capabilities, capacity and networks. */
export function HostsPage({ nodes, isAdmin }: HostsPageProps) {
  const hosts = useHosts();
  const networks = useNetworks();
  const changes = useChanges(isAdmin);
  return (
    <>
      <PageHeader title="Hosts" description="libvirt hosts, with their capacity, storage and networks." />
      <PageSection isFilled aria-label="List of hosts">
        {hosts.error && (
          <ProblemAlert title="Couldn't load the hosts" error={hosts.error} onRetry={() => void hosts.refetch()} />
        )}
        {networks.error && (
          <ProblemAlert
            title="Couldn't load the networks"
            error={networks.error}
            onRetry={() => void networks.refetch()}
          />
        )}
        {changes.error && (
          <ProblemAlert
            title="Couldn't load the unfinished changes"
            error={changes.error}
            onRetry={() => void changes.refetch()}
          />
        )}
        {hosts.isPending && <Skeleton height="12rem" screenreaderText="Loading" />}
        <div className="sl-loading">
          {hosts.data?.map((host) => (
            <HostCard
              key={host.name}
              host={host}
              nodes={nodes}
              networks={networks.data?.filter((network) => network.host === host.name)}
              changes={changes.data?.filter((change) => change.host === host.name)}
            />
          ))}
        </div>
      </PageSection>
    </>
  );
}

const looks: Record<Host["state"], { text: string; color: "green" | "blue" | "red" }> = {
  connected: { text: "Connected", color: "green" },
  connecting: { text: "Connecting", color: "blue" },
  unreachable: { text: "Unreachable", color: "red" },
};

interface HostCardProps {
  host: Host;
  nodes: readonly Node[];
  networks: readonly Network[] | undefined;
  changes: readonly Change[] | undefined;
}

function HostCard({ host, nodes, networks, changes }: HostCardProps) {
  const { text, color } = looks[host.state];
  const refresh = useRefreshHost(host.name);
  const toasts = useToasts();
  return (
    <Card data-host-card={host.name}>
      <CardHeader
        actions={{
          hasNoOffset: true,
          actions: (
            <Button
              variant="secondary"
              size="sm"
              icon={<SyncAltIcon />}
              aria-label={`Refresh ${host.name}`}
              isLoading={refresh.isPending}
              isDisabled={refresh.isPending || host.state !== "connected"}
              onClick={() =>
                refresh.mutate(undefined, {
                  onSuccess: () => toasts.success(`Pools of ${host.name} refreshed`),
                  onError: (error) => toasts.failure(`Couldn't refresh the pools of ${host.name}`, error),
                })
              }
            >
              Refresh
            </Button>
          ),
        }}
      >
        <CardTitle component="h2">
          {host.name} <Label color={color}>{text}</Label>
        </CardTitle>
      </CardHeader>
      <CardBody className="sl-host">
        {host.error && (
          <Alert
            component="h2"
            isInline
            variant={host.state === "unreachable" ? "danger" : "warning"}
            title="Host problem"
            className="sl-host__wide"
          >
            {host.error}
          </Alert>
        )}
        {host.warnings.map((warning) => (
          <Alert
            key={warning}
            component="h2"
            isInline
            variant="warning"
            title="Known problem of this libvirt release"
            className="sl-host__wide"
          >
            {warning}
          </Alert>
        ))}
        {changes && changes.length > 0 && (
          <section aria-label="Unfinished changes" className="sl-host__wide">
            <UnfinishedChanges host={host.name} changes={changes} />
          </section>
        )}
        <section aria-label="Properties">
          <DescriptionList isCompact isHorizontal horizontalTermWidthModifier={{ default: "11ch" }}>
            <Fact term="URI" value={<code>{host.uri}</code>} />
            <Fact term="libvirt" value={host.libvirtVersion} />
            <Fact term="QEMU" value={host.hypervisorVersion} />
            <Fact term="CPUs" value={host.cpus > 0 && host.cpus} />
            <Fact term="Memory" value={host.memoryBytes > 0 && formatBytes(host.memoryBytes)} />
            <Fact term="New nodes" value={newNodes(host)} />
            <Fact
              term="Nodes"
              value={
                <Link to={paths.nodesOn(host.name)}>{`${plural(host.nodes, "node")}, ${host.running} running`}</Link>
              }
            />
          </DescriptionList>
        </section>
        <section aria-label="Allocated">
          <Title headingLevel="h3" size="md">
            Allocated
          </Title>
          <HostCapacity host={host} nodes={nodes} isNamed />
        </section>
        <section aria-label="Storage pools" className="sl-host__wide">
          <Title headingLevel="h3" size="md">
            Storage pools
          </Title>
          <PoolBars pools={host.pools} />
        </section>
        {networks && networks.length > 0 && (
          <section aria-label="Networks" className="sl-host__wide">
            <Title headingLevel="h3" size="md">
              Networks
            </Title>
            <NetworksTable host={host.name} networks={networks} />
          </section>
        )}
      </CardBody>
    </Card>
  );
}

function newNodes({ state, accelerator, acceleratorReason, network }: Host) {
  if (state !== "connected") {
    return null;
  }
  return (
    <>
      {accelerator === "qemu" ? "Software emulation" : accelerator.toUpperCase()}, {networkText(network)}
      {acceleratorReason && <div className="sl-subtle">{acceleratorReason}</div>}
    </>
  );
}

function networkText(network: string) {
  switch (network) {
    case "user":
      return "user-mode networking";
    case "none":
      return "no default network";
    default:
      return `network ${network}`;
  }
}

function Fact({ term, value }: { term: string; value: React.ReactNode }) {
  return value ? (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription className="sl-break">{value}</DescriptionListDescription>
    </DescriptionListGroup>
  ) : null;
}

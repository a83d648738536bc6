import {
  Alert,
  Button,
  Card,
  CardBody,
  DescriptionList,
  DescriptionListDescription,
  DescriptionListGroup,
  DescriptionListTerm,
  EmptyState,
  EmptyStateBody,
  Label,
  PageSection,
  Skeleton,
} from "@patternfly/react-core";
import SyncAltIcon from "@patternfly/react-icons/dist/esm/icons/sync-alt-icon";
import UnlinkIcon from "@patternfly/react-icons/dist/esm/icons/unlink-icon";
import type { ReactNode } from "react";
import { Link } from "react-router";

import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";
import { Ago } from "../../shared/ui/Ago";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useGuacamole, useSyncGuacamole } from "./api";

const looks = {
  off: { text: "Off", color: "grey" },
  unknown: { text: "Checking…", color: "blue" },
  ok: { text: "In sync", color: "green" },
  unreachable: { text: "Unreachable", color: "red" },
} as const;

const partStates = { off: "Off", unknown: "Not checked yet", ok: "Reachable", unreachable: "Unreachable" } as const;

/** The state of Guacamole and its connections, with a button to sync them now. */
export default function GuacamoleSyncPage() {
  const state = useGuacamole();
  const sync = useSyncGuacamole();
  const look = state.data && looks[state.data.state];
  return (
    <>
      <PageHeader
        title="Guacamole"
        description="Connections are synced with running nodes."
        status={look && <Label color={look.color}>{look.text}</Label>}
        actions={
          state.data?.enabled && (
            <Button
              icon={<SyncAltIcon />}
              isLoading={sync.isPending}
              isDisabled={sync.isPending}
              onClick={() => sync.mutate()}
            >
              Sync now
            </Button>
          )
        }
      />
      <PageSection isFilled aria-label="Guacamole">
        {state.error && (
          <ProblemAlert
            title="Couldn't load the state of Guacamole"
            error={state.error}
            onRetry={() => void state.refetch()}
          />
        )}
        {state.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {state.data && !state.data.enabled && (
          <EmptyState headingLevel="h2" icon={UnlinkIcon} titleText="Guacamole is not set up">
            <EmptyStateBody>
              Consoles and screens work without it. To use Guacamole, set <code>guacamole-database</code> and{" "}
              <code>guacamole-url</code>. See <Link to={paths.help("guacamole")}>the guide</Link>.
            </EmptyStateBody>
          </EmptyState>
        )}
        <div className="sl-loading">
          {sync.error && <ProblemAlert title="Couldn't sync" error={sync.error} />}
          {sync.data && (
            <Alert
              component="h2"
              isInline
              isLiveRegion
              variant={sync.data.problems.length > 0 ? "warning" : "success"}
              title="Synced"
            >
              {plural(sync.data.nodes, "running node")} with a screen: {sync.data.made} created, {sync.data.updated}{" "}
              updated, {sync.data.removed} removed, {plural(sync.data.users, "user")} changed, in {sync.data.durationMs}{" "}
              ms.
              {sync.data.unknownHosts.length > 0 && ` Skipped unreachable hosts: ${sync.data.unknownHosts.join(", ")}.`}
              {sync.data.problems.map((problem) => (
                <div key={problem}>{problem}</div>
              ))}
            </Alert>
          )}
          {state.data?.error && (
            <Alert component="h2" isInline variant="danger" title="Problem with the Guacamole database">
              {state.data.error} Retrying automatically. Nodes aren't affected.
            </Alert>
          )}
          {state.data?.webError && (
            <Alert component="h2" isInline variant="warning" title="Problem with the Guacamole web application">
              {state.data.webError}
            </Alert>
          )}
          {state.data?.enabled && (
            <Card>
              <CardBody>
                <DescriptionList columnModifier={{ default: "2Col", lg: "3Col" }}>
                  <Fact term="Connections" value={state.data.connections} />
                  <Fact term="Users" value={state.data.users} />
                  <Fact term="Last synced" value={state.data.lastSync ? <Ago time={state.data.lastSync} /> : "never"} />
                  <Fact term="Web application" value={partStates[state.data.web]} />
                  {Object.entries(state.data.guacds ?? {}).map(([host, guacd]) => (
                    <Fact
                      key={host}
                      term={host === "default" ? "guacd" : `guacd of ${host}`}
                      value={
                        guacd === "ok"
                          ? partStates.ok
                          : guacd === "unknown"
                            ? partStates.unknown
                            : partStates.unreachable
                      }
                    />
                  ))}
                  {state.data.failures > 0 && <Fact term="Failed since" value={plural(state.data.failures, "time")} />}
                </DescriptionList>
              </CardBody>
            </Card>
          )}
        </div>
      </PageSection>
    </>
  );
}

function Fact({ term, value }: { term: string; value: ReactNode }) {
  return (
    <DescriptionListGroup>
      <DescriptionListTerm>{term}</DescriptionListTerm>
      <DescriptionListDescription>{value}</DescriptionListDescription>
    </DescriptionListGroup>
  );
}

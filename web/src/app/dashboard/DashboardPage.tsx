import {
  Card,
  CardBody,
  CardTitle,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Grid,
  GridItem,
  PageSection,
  Skeleton,
  Stack,
  StackItem,
} from "@patternfly/react-core";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import ShareAltIcon from "@patternfly/react-icons/dist/esm/icons/share-alt-icon";
import TopologyIcon from "@patternfly/react-icons/dist/esm/icons/topology-icon";
import type { ReactNode } from "react";

import { HostCapacity } from "../../features/hosts/HostCapacity";
import { useHosts } from "../../features/hosts/api/listHosts";
import { useLabs } from "../../features/labs/api/labs";
import { useNodes } from "../../features/nodes/api/listNodes";
import { FirstNode } from "../../features/nodes/components/FirstNode";
import { useSession } from "../../features/session/api/session";
import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";
import { LinkButton } from "../../shared/ui/LinkButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { mayAdminister } from "../admin/places";
import { useAllImages } from "../useAllImages";
import { useWork } from "../work/useWork";
import { WorkList } from "../work/WorkList";
import { NodeCounts } from "./NodeCounts";
import { RecentActivity } from "./RecentActivity";
import { Screens } from "./Screens";
import "./dashboard.css";

/** The home page: nodes, activity and capacity. On an empty installation it leads to the first node. */
export default function DashboardPage() {
  const nodes = useNodes();
  const hosts = useHosts();
  const images = useAllImages();
  const work = useWork();
  const isEmpty = nodes.data?.length === 0;
  // Students and viewers can neither create nodes nor see hosts.
  const mayCreate = mayAdminister(useSession().data?.user.role ?? "");
  // Running tasks come before the screens, finished ones after them.
  const workTile = (
    <StackItem>
      <Tile title="Activity">
        <WorkList work={work} />
      </Tile>
    </StackItem>
  );
  return (
    <>
      <PageHeader
        title="Dashboard"
        actions={
          !isEmpty &&
          mayCreate && (
            <LinkButton variant="primary" icon={<PlusIcon />} to={paths.newNode}>
              Create node
            </LinkButton>
          )
        }
      />
      <PageSection isFilled aria-label="Overview">
        {nodes.error && (
          <ProblemAlert title="Couldn't load the nodes" error={nodes.error} onRetry={() => void nodes.refetch()} />
        )}
        <Stack hasGutter>
          {isEmpty && (
            <StackItem>
              <Card>
                <CardBody>
                  {!mayCreate ? (
                    <NothingShared />
                  ) : images ? (
                    <FirstNode images={images} />
                  ) : (
                    <Skeleton height="12rem" screenreaderText="Loading the images" />
                  )}
                </CardBody>
              </Card>
            </StackItem>
          )}
          <StackItem>
            <Grid hasGutter className="sl-dashboard">
              {!isEmpty && (
                <GridItem lg={4} md={6}>
                  <Tile title="Nodes">
                    {nodes.data ? <NodeCounts nodes={nodes.data} /> : !nodes.error && <Loading what="the nodes" />}
                  </Tile>
                </GridItem>
              )}
              {mayCreate && (
                <GridItem lg={isEmpty ? 6 : 4} md={6}>
                  <Tile title="Capacity">
                    {hosts.error && (
                      <ProblemAlert
                        title="Couldn't load the hosts"
                        error={hosts.error}
                        onRetry={() => void hosts.refetch()}
                      />
                    )}
                    {hosts.data?.map((host) => (
                      <HostCapacity key={host.name} host={host} nodes={nodes.data ?? []} />
                    ))}
                    {hosts.isPending && <Loading what="the hosts" />}
                  </Tile>
                </GridItem>
              )}
              <GridItem lg={mayCreate ? (isEmpty ? 6 : 4) : isEmpty ? 12 : 8} md={mayCreate && !isEmpty ? 12 : 6}>
                <Tile title="Recent activity">
                  {nodes.data && images ? (
                    <RecentActivity nodes={nodes.data} images={images} />
                  ) : (
                    !nodes.error && <Loading what="the activity" />
                  )}
                </Tile>
              </GridItem>
            </Grid>
          </StackItem>
          {work.running > 0 && workTile}
          {nodes.data && !isEmpty && (
            <StackItem>
              <Screens nodes={nodes.data} />
            </StackItem>
          )}
          {work.running === 0 && work.uploads.length + work.ended.length > 0 && workTile}
        </Stack>
      </PageSection>
    </>
  );
}

/** Shown to users who can't create nodes and see none; a lab that is shared with them may be empty. */
function NothingShared() {
  const labs = useLabs();
  if (labs.isPending) {
    return <Skeleton height="12rem" screenreaderText="Loading the labs" />;
  }
  return labs.data?.length ? (
    <EmptyState headingLevel="h2" icon={TopologyIcon} titleText="No nodes yet">
      <EmptyStateBody>
        {plural(labs.data.length, "lab")} {labs.data.length === 1 ? "is" : "are"} shared with you. Their nodes appear
        here.
      </EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <LinkButton variant="primary" to={paths.labs}>
            View labs
          </LinkButton>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  ) : (
    <EmptyState headingLevel="h2" icon={ShareAltIcon} titleText="Nothing here yet">
      <EmptyStateBody>Nodes and labs that are shared with you appear here.</EmptyStateBody>
    </EmptyState>
  );
}

function Tile({ title, children }: { title: string; children: ReactNode }) {
  return (
    <Card isFullHeight>
      <CardTitle component="h2">{title}</CardTitle>
      <CardBody>{children}</CardBody>
    </Card>
  );
}

function Loading({ what }: { what: string }) {
  return <Skeleton height="8rem" screenreaderText={`Loading ${what}`} />;
}

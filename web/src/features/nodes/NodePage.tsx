import {
  Breadcrumb,
  BreadcrumbItem,
  Bullseye,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  PageSection,
  Spinner,
} from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { type ReactNode, lazy } from "react";
import { Link, NavLink, useLocation } from "react-router";

import type { Image, Node } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { Later } from "../../shared/ui/Later";
import { LinkButton } from "../../shared/ui/LinkButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { TabLinks } from "../../shared/ui/TabLinks";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useNode } from "./api/getNode";
import { UnmanagedLabel } from "./components/UnmanagedLabel";
import { NodeActions } from "./components/NodeActions";
import { NodeOverview } from "./components/NodeOverview";
import { NodeProblem } from "./components/NodeProblem";
import { NodeStateLabel } from "./components/NodeStateLabel";
import { type NodeTab, type PaneTab, isPaneTab, nodeTabs } from "./tabs";
import "./nodePage.css";

// Loaded on demand.
const NodeDisks = lazy(() => import("./views/NodeDisks"));
const NodeNetworks = lazy(() => import("./views/NodeNetworks"));
const NodeSharing = lazy(() => import("./views/NodeSharing"));
const NodeSnapshots = lazy(() => import("./views/NodeSnapshots"));
const NodeXML = lazy(() => import("./views/NodeXML"));

interface NodePageProps {
  id: string;
  tab: NodeTab;
  /** All images; ISO images can be inserted into a node's drive. */
  images: readonly Image[];
  isAdmin: boolean;
  /** Whether the user's role lets them create nodes and list networks. */
  mayCreate: boolean;
  /** Renders the console, the screen, both, or the log of a node, filling the rest of the page. */
  pane: (tab: PaneTab, node: Node) => ReactNode;
  /** Renders the events of a node. */
  events: (node: Node) => ReactNode;
}

/** One node: overview, actions, console, log, screen, disks and the other views. */
export function NodePage(props: NodePageProps) {
  const { id, tab } = props;
  const query = useNode(id);
  // Console and log share the selected port.
  const { search } = useLocation();
  const node = query.data;
  if (query.isPending) {
    return (
      <Bullseye className="sl-fill">
        <Spinner aria-label="Loading the node" />
      </Bullseye>
    );
  }
  if (!node) {
    return (
      <PageSection isFilled aria-label="Node">
        {node === null ? (
          <Gone />
        ) : (
          <ProblemAlert title="Couldn't load the node" error={query.error} onRetry={() => void query.refetch()} />
        )}
      </PageSection>
    );
  }
  return (
    <>
      <PageSection type="breadcrumb" aria-label="Breadcrumb">
        <Breadcrumb>
          <BreadcrumbItem>
            <Link to={paths.nodes}>Nodes</Link>
          </BreadcrumbItem>
          <BreadcrumbItem isActive>{node.name}</BreadcrumbItem>
        </Breadcrumb>
      </PageSection>
      <PageHeader
        title={node.name}
        status={
          <>
            <NodeStateLabel node={node} />
            <NodeProblem node={node} />
            {!node.managed && <UnmanagedLabel />}
          </>
        }
        actions={<NodeActions node={node} place="page" />}
      />
      <PageSection type="tabs" aria-label="Views">
        <TabLinks label="Node views">
          {nodeTabs
            .filter((one) => one.tab !== "sharing" || node.access === "manage")
            .map((one) => (
              <NavLink
                key={one.tab}
                end
                replace
                {...(one.tab === "both" ? { className: "sl-tabs__wide" } : {})}
                to={{
                  pathname: paths.nodeTab(id, one.tab),
                  search: one.tab === "console" || one.tab === "log" ? search : "",
                }}
              >
                {one.text}
              </NavLink>
            ))}
        </TabLinks>
      </PageSection>
      {isPaneTab(tab) ? (
        <PageSection isFilled aria-label={titleOf(tab)} className="sl-console-section" hasBodyWrapper={false}>
          {props.pane(tab, node)}
        </PageSection>
      ) : (
        <PageSection isFilled aria-label={titleOf(tab)}>
          <Later what="the view">
            <View {...props} node={node} tab={tab} />
          </Later>
        </PageSection>
      )}
    </>
  );
}

function titleOf(tab: NodeTab): string {
  return nodeTabs.find((one) => one.tab === tab)?.text ?? "";
}

type ViewProps = Omit<NodePageProps, "tab"> & { node: Node; tab: Exclude<NodeTab, PaneTab> };

function View({ node, tab, images, isAdmin, mayCreate, events }: ViewProps) {
  switch (tab) {
    case "overview":
      return <NodeOverview node={node} />;
    case "disks":
      return <NodeDisks node={node} images={images} />;
    case "snapshots":
      return <NodeSnapshots node={node} />;
    case "networks":
      return <NodeNetworks node={node} mayListNetworks={mayCreate} />;
    case "sharing":
      return <NodeSharing node={node} />;
    case "events":
      return events(node);
    case "xml":
      return <NodeXML node={node} mayEdit={isAdmin} />;
  }
}

function Gone() {
  return (
    <EmptyState headingLevel="h1" icon={SearchIcon} titleText="Node not found">
      <EmptyStateBody>It may have been deleted.</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <LinkButton variant="primary" to={paths.nodes}>
            View all nodes
          </LinkButton>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}

import {
  Alert,
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
import type { ReactNode } from "react";
import { Link, NavLink, useLocation } from "react-router";

import type { Node } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { LinkButton } from "../../shared/ui/LinkButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useNode } from "./api/getNode";
import { DefinedElsewhere } from "./components/DefinedElsewhere";
import { NodeActions } from "./components/NodeActions";
import { NodeOverview } from "./components/NodeOverview";
import { NodeStateLabel } from "./components/NodeStateLabel";
import { NodeXML } from "./components/NodeXML";

export type NodeTab = "overview" | "console" | "log" | "screen";

interface NodePageProps {
  id: string;
  tab: NodeTab;
  /** Draws the console of a node, filling the rest of the page. */
  console: (node: Node) => ReactNode;
  /** Draws what the console of a node has printed, filling the rest of the page. */
  log: (node: Node) => ReactNode;
  /** Draws the screen of a node, filling the rest of the page. */
  screen: (node: Node) => ReactNode;
}

const titles = { console: "Console", log: "Log", screen: "Screen" };

/** One node: what it is, what can be done with it, its console with its log, and its screen. */
export function NodePage({ id, tab, ...draw }: NodePageProps) {
  const query = useNode(id);
  // Console and log keep the port that is chosen.
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
          <ProblemAlert title="The node cannot be shown" error={query.error} onRetry={() => void query.refetch()} />
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
            <NodeStateLabel state={node.state} />
            {!node.managed && <DefinedElsewhere />}
          </>
        }
        actions={<NodeActions node={node} place="page" />}
      />
      <PageSection type="tabs" aria-label="Views">
        <nav className="sl-tabs" aria-label="Views of the node">
          <NavLink end replace to={paths.node(id)}>
            Overview
          </NavLink>
          <NavLink replace to={{ pathname: paths.console(id), search }}>
            Console
          </NavLink>
          <NavLink replace to={{ pathname: paths.log(id), search }}>
            Log
          </NavLink>
          <NavLink replace to={paths.screen(id)}>
            Screen
          </NavLink>
        </nav>
      </PageSection>
      {tab === "overview" ? (
        <PageSection isFilled aria-label="Overview">
          {node.problem && (
            <Alert isInline variant="warning" title="The domain's definition is at fault" className="sl-node-problem">
              {node.problem}
            </Alert>
          )}
          <NodeOverview node={node} />
          <NodeXML node={node} />
        </PageSection>
      ) : (
        <PageSection
          isFilled
          aria-label={titles[tab]}
          className="sl-console-section"
          hasBodyWrapper={false}
        >
          {draw[tab](node)}
        </PageSection>
      )}
    </>
  );
}

function Gone() {
  return (
    <EmptyState headingLevel="h1" icon={SearchIcon} titleText="There is no such node">
      <EmptyStateBody>It was deleted, here or with another tool, or the address is mistyped.</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <LinkButton variant="primary" to={paths.nodes}>
            Show all nodes
          </LinkButton>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}

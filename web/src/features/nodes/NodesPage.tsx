import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  PageSection,
  Pagination,
  SearchInput,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
  Toolbar,
  ToolbarContent,
  ToolbarItem,
} from "@patternfly/react-core";
import ListIcon from "@patternfly/react-icons/dist/esm/icons/list-icon";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import ServerIcon from "@patternfly/react-icons/dist/esm/icons/server-icon";
import ThLargeIcon from "@patternfly/react-icons/dist/esm/icons/th-large-icon";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router";

import type { Image, Node } from "../../shared/api/types";
import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";
import { LinkButton } from "../../shared/ui/LinkButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useIsWide } from "../../shared/useIsWide";
import { useLatestMetrics } from "./api/metrics";
import { useNodes } from "./api/listNodes";
import { BulkActions } from "./components/BulkActions";
import { FacetFilter } from "./components/FacetFilter";
import { FirstNode } from "./components/FirstNode";
import { NodeCards } from "./components/NodeCards";
import { NodesTable } from "./components/NodesTable";
import { type StateFilter, choicesOf, facets, filterNodes, matching, readFilter, stateGroup } from "./filter";
import { useSelection } from "./useSelection";
import "./nodes.css";

interface NodesPageProps {
  /** All images; undefined while loading. */
  images: readonly Image[] | undefined;
  /** Shown below the title: the hosts. */
  hosts: ReactNode;
  /** Whether the user's role lets them create nodes. */
  mayCreate: boolean;
}

/** All nodes, live; search, filters, view and page are in the URL. */
export function NodesPage({ images, hosts, mayCreate }: NodesPageProps) {
  const nodes = useNodes();
  const isEmpty = nodes.data?.length === 0;
  return (
    <>
      <PageHeader
        title="Nodes"
        below={hosts}
        actions={
          mayCreate &&
          !isEmpty && (
            <LinkButton variant="primary" icon={<PlusIcon />} to={paths.newNode}>
              Create node
            </LinkButton>
          )
        }
      />
      <PageSection isFilled aria-label="List of nodes">
        {nodes.error && (
          <ProblemAlert title="Couldn't load the nodes" error={nodes.error} onRetry={() => void nodes.refetch()} />
        )}
        {nodes.isPending && <Loading />}
        {isEmpty && !mayCreate && <NothingShared />}
        {isEmpty && mayCreate && (images ? <FirstNode images={images} /> : <Loading />)}
        {nodes.data && !isEmpty && <NodeList nodes={nodes.data} />}
      </PageSection>
    </>
  );
}

const stateFilters: readonly { value: StateFilter; text: string }[] = [
  { value: "all", text: "All" },
  { value: "running", text: "Running" },
  { value: "stopped", text: "Stopped" },
  { value: "other", text: "Other" },
];
const perPage = 50;

function NodeList({ nodes }: { nodes: readonly Node[] }) {
  const [params, setParams] = useSearchParams();
  const filter = readFilter(params);
  const inAnyState = matching(nodes, filter);
  const found = filterNodes(nodes, filter);
  const selection = useSelection(found);
  const metrics = useLatestMetrics(true);
  const isWide = useIsWide();
  const asCards = !isWide || params.get("view") === "cards";
  const List = asCards ? NodeCards : NodesTable;
  const pages = Math.max(1, Math.ceil(found.length / perPage));
  const page = Math.min(pages, Math.max(1, Number(params.get("page")) || 1));

  const setParam = (name: string, value: string) =>
    setParams(
      (previous) => {
        const next = new URLSearchParams(previous);
        next.delete("page");
        if (value === "") {
          next.delete(name);
        } else {
          next.set(name, value);
        }
        return next;
      },
      { replace: true },
    );
  const count = (state: StateFilter) =>
    state === "all" ? inAnyState.length : inAnyState.filter((node) => stateGroup(node) === state).length;

  return (
    <>
      <Toolbar inset={{ default: "insetNone" }}>
        <ToolbarContent alignItems="center">
          <ToolbarItem className="sl-search">
            <SearchInput
              aria-label="Search nodes"
              placeholder="Search nodes"
              value={filter.search}
              onChange={(_event, value) => setParam("q", value)}
              onClear={() => setParam("q", "")}
            />
          </ToolbarItem>
          <ToolbarItem>
            <ToggleGroup aria-label="State" isCompact>
              {stateFilters
                .filter(({ value }) => value !== "other" || filter.state === "other" || count("other") > 0)
                .map(({ value, text }) => (
                  <ToggleGroupItem
                    key={value}
                    text={`${text} ${count(value)}`}
                    buttonId={`state-${value}`}
                    isSelected={filter.state === value}
                    onChange={() => setParam("state", value === "all" ? "" : value)}
                  />
                ))}
            </ToggleGroup>
          </ToolbarItem>
          {facets.map((facet) => (
            <FacetFilter
              key={facet}
              facet={facet}
              choices={choicesOf(facet, nodes, filter.facets[facet])}
              chosen={filter.facets[facet]}
              onChoose={(value) => setParam(facet, value)}
            />
          ))}
          {isWide && (
            <ToolbarItem align={{ default: "alignEnd" }}>
              <ToggleGroup aria-label="View" isCompact>
                <ToggleGroupItem
                  icon={<ListIcon />}
                  aria-label="Table"
                  isSelected={!asCards}
                  onChange={() => setParam("view", "")}
                />
                <ToggleGroupItem
                  icon={<ThLargeIcon />}
                  aria-label="Cards"
                  isSelected={asCards}
                  onChange={() => setParam("view", "cards")}
                />
              </ToggleGroup>
            </ToolbarItem>
          )}
          {found.length > perPage && (
            <ToolbarItem variant="pagination" align={{ default: "alignEnd" }}>
              <Pagination
                isCompact
                itemCount={found.length}
                perPage={perPage}
                page={page}
                perPageOptions={[{ title: String(perPage), value: perPage }]}
                onSetPage={(_event, next) => setParam("page", String(next))}
              />
            </ToolbarItem>
          )}
        </ToolbarContent>
      </Toolbar>
      <p className="pf-v6-screen-reader" role="status">
        {plural(found.length, "node")} shown
      </p>
      <BulkActions selection={selection} />
      {found.length === 0 ? (
        <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No matching nodes">
          <EmptyStateBody>Clear the filters to see all nodes.</EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <Button variant="link" onClick={() => setParams({}, { replace: true })}>
                Clear filters
              </Button>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      ) : (
        <List nodes={found.slice((page - 1) * perPage, page * perPage)} metrics={metrics} selection={selection} />
      )}
    </>
  );
}

/** Shown to users who can't create nodes, until a node is shared with them. */
function NothingShared() {
  return (
    <EmptyState headingLevel="h2" icon={ServerIcon} titleText="No nodes yet">
      <EmptyStateBody>Nodes that are shared with you appear here. Ask your instructor or administrator.</EmptyStateBody>
    </EmptyState>
  );
}

function Loading() {
  return (
    <div className="sl-loading">
      <Skeleton screenreaderText="Loading" />
      <Skeleton width="80%" />
      <Skeleton width="90%" />
    </div>
  );
}

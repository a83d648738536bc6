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
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import type { ReactNode } from "react";
import { useSearchParams } from "react-router";

import type { Image, Node } from "../../shared/api/types";
import { plural } from "../../shared/format";
import { paths } from "../../shared/paths";
import { LinkButton } from "../../shared/ui/LinkButton";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useIsWide } from "../../shared/useIsWide";
import { useNodes } from "./api/listNodes";
import { FirstNode } from "./components/FirstNode";
import { NodeCards } from "./components/NodeCards";
import { NodesTable } from "./components/NodesTable";
import { type StateFilter, filterNodes, readStateFilter, stateGroup } from "./filter";

interface NodesPageProps {
  /** All images, or undefined while they are not known yet. */
  images: readonly Image[] | undefined;
  /** Shown below the title: the hosts. */
  hosts: ReactNode;
}

/** All nodes, live; search, state and page are in the URL. */
export function NodesPage({ images, hosts }: NodesPageProps) {
  const nodes = useNodes();
  const isEmpty = nodes.data?.length === 0;
  return (
    <>
      <PageHeader
        title="Nodes"
        below={hosts}
        actions={
          !isEmpty && (
            <LinkButton variant="primary" icon={<PlusIcon />} to={paths.newNode}>
              Create node
            </LinkButton>
          )
        }
      />
      <PageSection isFilled aria-label="List of nodes">
        {nodes.error && (
          <ProblemAlert title="The nodes cannot be listed" error={nodes.error} onRetry={() => void nodes.refetch()} />
        )}
        {nodes.isPending && <Loading />}
        {isEmpty && (images ? <FirstNode images={images} /> : <Loading />)}
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
  const search = params.get("q") ?? "";
  const state = readStateFilter(params.get("state"));
  const found = filterNodes(nodes, search, state);
  const List = useIsWide() ? NodesTable : NodeCards;
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
  const count = (filter: StateFilter) =>
    filter === "all" ? nodes.length : nodes.filter((node) => stateGroup(node) === filter).length;

  return (
    <>
      <Toolbar inset={{ default: "insetNone" }}>
        <ToolbarContent>
          <ToolbarItem className="sl-search">
            <SearchInput
              aria-label="Search nodes"
              placeholder="Name, image, host or address"
              value={search}
              onChange={(_event, value) => setParam("q", value)}
              onClear={() => setParam("q", "")}
            />
          </ToolbarItem>
          <ToolbarItem>
            <ToggleGroup aria-label="State" isCompact>
              {stateFilters
                .filter(({ value }) => value !== "other" || state === "other" || count("other") > 0)
                .map(({ value, text }) => (
                  <ToggleGroupItem
                    key={value}
                    text={`${text} ${count(value)}`}
                    buttonId={`state-${value}`}
                    isSelected={state === value}
                    onChange={() => setParam("state", value === "all" ? "" : value)}
                  />
                ))}
            </ToggleGroup>
          </ToolbarItem>
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
      {found.length === 0 ? (
        <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No node fits">
          <EmptyStateBody>No node has this text and state.</EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <Button variant="link" onClick={() => setParams({}, { replace: true })}>
                Show all nodes
              </Button>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      ) : (
        <List nodes={found.slice((page - 1) * perPage, page * perPage)} />
      )}
    </>
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

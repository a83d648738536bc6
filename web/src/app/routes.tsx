import { Bullseye, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, PageSection, Spinner } from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { type ReactNode, Suspense, lazy } from "react";
import { Navigate, Route, Routes, useParams, useSearchParams } from "react-router";

import { HostStrip } from "../features/hosts/HostStrip";
import { useHosts } from "../features/hosts/api/listHosts";
import { ImagesPage } from "../features/images/ImagesPage";
import { UploadPanel } from "../features/images/UploadPanel";
import { useImages } from "../features/images/api/listImages";
import { NodePage, type NodeTab } from "../features/nodes/NodePage";
import { NodesPage } from "../features/nodes/NodesPage";
import { RunButton } from "../features/nodes/components/RunButton";
import { LoginPage } from "../features/session/LoginPage";
import { RequireSession } from "../features/session/RequireSession";
import { useSession } from "../features/session/api/session";
import type { Image, Node } from "../shared/api/types";
import { paths } from "../shared/paths";
import { LinkButton } from "../shared/ui/LinkButton";
import { usePageTitle } from "../shared/usePageTitle";
import { Logo } from "./Logo";
import { Shell } from "./Shell";

// The terminal is as large as all the rest, the screen is no small matter, and
// the other pages here are not the first that one sees: they are loaded by
// those who open one.
const ConsolePane = lazy(() => import("../features/console/ConsolePane"));
const AccountPage = lazy(() => import("../features/session/AccountPage"));
const CreateNodePage = lazy(() => import("../features/nodes/CreateNodePage"));
const GuacamolePage = lazy(() => import("../features/nodes/GuacamolePage"));
const LogPane = lazy(() => import("../features/console/LogPane"));
const ScreenPane = lazy(() => import("../features/screen/ScreenPane"));

/** Every page of the UI. Here the features are put together, which do not know each other. */
export function AppRoutes() {
  return (
    <Routes>
      <Route path={paths.login} element={<LoginPage logo={<Logo size={48} />} />} />
      <Route element={<RequireSession />}>
        <Route
          path="/nodes/:id/guacamole"
          element={
            <Later what="the way to Guacamole">
              <GuacamolePage />
            </Later>
          }
        />
        <Route element={<Shell />}>
          <Route index element={<Navigate replace to={paths.nodes} />} />
          <Route path={paths.nodes} element={<NodesRoute />} />
          <Route path={paths.newNode} element={<CreateNodeRoute />} />
          <Route path="/nodes/:id" element={<NodeRoute tab="overview" />} />
          <Route path="/nodes/:id/console" element={<NodeRoute tab="console" />} />
          <Route path="/nodes/:id/log" element={<NodeRoute tab="log" />} />
          <Route path="/nodes/:id/screen" element={<NodeRoute tab="screen" />} />
          <Route path={paths.images} element={<ImagesPage />} />
          <Route
            path={paths.account}
            element={
              <Later what="the account">
                <AccountPage />
              </Later>
            }
          />
          <Route path="*" element={<NoSuchPage />} />
        </Route>
      </Route>
    </Routes>
  );
}

/** All images in one list, base images first; undefined while they are not known. */
function useAllImages(): readonly Image[] | undefined {
  const { data } = useImages();
  return data && [...data.baseImages, ...data.customImages];
}

function NodesRoute() {
  return <NodesPage images={useAllImages()} hosts={<HostStrip />} />;
}

function CreateNodeRoute() {
  const hosts = useHosts();
  const session = useSession();
  return (
    <Later what="the form">
      <CreateNodePage
        images={useAllImages()}
        hosts={hosts.data ?? []}
        authOn={session.data?.auth === "on"}
        upload={(onUploaded) => <UploadPanel onUploaded={onUploaded} />}
      />
    </Later>
  );
}

function NodeRoute({ tab }: { tab: NodeTab }) {
  const { id = "" } = useParams();
  const [search, setSearch] = useSearchParams();
  const portsOf = ({ console: { ports } }: Node) => {
    const port = search.get("port") ?? ports[0]?.name ?? "";
    return { ports, port, onPort: (chosen: string) => setSearch({ port: chosen }, { replace: true }) };
  };
  return (
    <NodePage
      key={id}
      id={id}
      tab={tab}
      console={(node) => (
        <Later what="the console">
          <ConsolePane
            key={`${node.id} ${portsOf(node).port}`}
            nodeID={node.id}
            nodeName={node.name}
            {...portsOf(node)}
            whenOff={<RunButton node={node} />}
          />
        </Later>
      )}
      log={(node) => (
        <Later what="the log">
          <LogPane
            key={`${node.id} ${portsOf(node).port}`}
            nodeID={node.id}
            nodeName={node.name}
            {...portsOf(node)}
          />
        </Later>
      )}
      screen={(node) => (
        <Later what="the screen">
          <ScreenPane
            key={node.id}
            nodeID={node.id}
            nodeName={node.name}
            isRunning={node.state === "running" || node.state === "paused" || node.state === "stopping"}
            whenOff={<RunButton node={node} />}
          />
        </Later>
      )}
    />
  );
}

/** Shows that something is loaded until its code is there. */
function Later({ what, children }: { what: string; children: ReactNode }) {
  return (
    <Suspense
      fallback={
        <Bullseye className="sl-fill">
          <Spinner aria-label={`Loading ${what}`} />
        </Bullseye>
      }
    >
      {children}
    </Suspense>
  );
}

function NoSuchPage() {
  usePageTitle("No such page");
  return (
    <PageSection isFilled aria-label="No such page">
      <EmptyState headingLevel="h1" icon={SearchIcon} titleText="There is no such page">
        <EmptyStateBody>The address is mistyped, or from another version of SandboxLabs.</EmptyStateBody>
        <EmptyStateFooter>
          <EmptyStateActions>
            <LinkButton variant="primary" to={paths.nodes}>
              Show the nodes
            </LinkButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </PageSection>
  );
}

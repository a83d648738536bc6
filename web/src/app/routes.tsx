import { EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter, PageSection } from "@patternfly/react-core";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { lazy } from "react";
import { Route, Routes } from "react-router";

import { RequireSession } from "../features/session/RequireSession";
import { paths } from "../shared/paths";
import { Later } from "../shared/ui/Later";
import { LinkButton } from "../shared/ui/LinkButton";
import { usePageTitle } from "../shared/usePageTitle";
import { Logo } from "./Logo";
import { Shell } from "./Shell";
import { adminRoutes } from "./admin/AdminRoutes";

// Each page is loaded by those who open it.
const AccountPage = lazy(() => import("../features/session/AccountPage"));
const CreateNodeRoute = lazy(() => import("./pages/CreateNodeRoute"));
const DashboardPage = lazy(() => import("./dashboard/DashboardPage"));
const GuacamolePage = lazy(() => import("../features/nodes/GuacamolePage"));
const ImagesPage = lazy(() => import("../features/images/ImagesPage"));
const LabRoute = lazy(() => import("./pages/LabRoute"));
const LabsRoute = lazy(() => import("./pages/LabsRoute"));
const LoginPage = lazy(() => import("../features/session/LoginPage"));
const NodeRoute = lazy(() => import("./pages/NodeRoute"));
const NodesRoute = lazy(() => import("./pages/NodesRoute"));

/** Every page of the UI. In app the features are put together, which do not know each other. */
export function AppRoutes() {
  return (
    <Later what="the page">
      <Routes>
        <Route path={paths.login} element={<LoginPage logo={<Logo size={48} />} />} />
        <Route element={<RequireSession />}>
          <Route path="/nodes/:id/guacamole" element={<GuacamolePage />} />
          <Route element={<Shell />}>
            <Route index element={<DashboardPage />} />
            <Route path={paths.nodes} element={<NodesRoute />} />
            <Route path={paths.newNode} element={<CreateNodeRoute />} />
            <Route path="/nodes/:id" element={<NodeRoute tab="overview" />} />
            <Route path="/nodes/:id/console" element={<NodeRoute tab="console" />} />
            <Route path="/nodes/:id/log" element={<NodeRoute tab="log" />} />
            <Route path="/nodes/:id/screen" element={<NodeRoute tab="screen" />} />
            <Route path={paths.labs} element={<LabsRoute />} />
            <Route path="/labs/:id" element={<LabRoute />} />
            <Route path={paths.images} element={<ImagesPage />} />
            <Route path={paths.account} element={<AccountPage />} />
            {adminRoutes()}
            <Route path="*" element={<NoSuchPage />} />
          </Route>
        </Route>
      </Routes>
    </Later>
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
            <LinkButton variant="primary" to={paths.home}>
              Show the dashboard
            </LinkButton>
          </EmptyStateActions>
        </EmptyStateFooter>
      </EmptyState>
    </PageSection>
  );
}

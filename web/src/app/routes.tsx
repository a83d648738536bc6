import { lazy } from "react";
import { Route, Routes } from "react-router";

import { RequireSession } from "../features/session/RequireSession";
import { paths } from "../shared/paths";
import { Later } from "../shared/ui/Later";
import { Logo } from "./Logo";
import { NotFoundPage } from "./NotFoundPage";
import { Shell } from "./Shell";
import { adminRoutes } from "./admin/AdminRoutes";

// Pages are loaded on demand.
const AccountPage = lazy(() => import("../features/session/AccountPage"));
const CatalogRoute = lazy(() => import("./pages/CatalogRoute"));
const CreateNodeRoute = lazy(() => import("./pages/CreateNodeRoute"));
const DashboardPage = lazy(() => import("./dashboard/DashboardPage"));
const GuacamolePage = lazy(() => import("../features/nodes/GuacamolePage"));
const GuidePage = lazy(() => import("../features/help/GuidePage"));
const HelpPage = lazy(() => import("../features/help/HelpPage"));
const ImagePage = lazy(() => import("../features/images/ImagePage"));
const ImagesRoute = lazy(() => import("./pages/ImagesRoute"));
const LabRoute = lazy(() => import("./pages/LabRoute"));
const LabsRoute = lazy(() => import("./pages/LabsRoute"));
const LoginPage = lazy(() => import("../features/session/LoginPage"));
const NodeRoute = lazy(() => import("./pages/NodeRoute"));
const NodeWindow = lazy(() => import("./pages/NodeWindow"));
const NodesRoute = lazy(() => import("./pages/NodesRoute"));

/** All pages of the UI. The features don't know each other; app combines them. */
export function AppRoutes() {
  return (
    <Later what="the page">
      <Routes>
        <Route path={paths.login} element={<LoginPage logo={<Logo size={48} />} />} />
        <Route element={<RequireSession />}>
          <Route path="/nodes/:id/guacamole" element={<GuacamolePage />} />
          <Route path="/nodes/:id/console/window" element={<NodeWindow pane="console" />} />
          <Route path="/nodes/:id/screen/window" element={<NodeWindow pane="screen" />} />
          <Route element={<Shell />}>
            <Route index element={<DashboardPage />} />
            <Route path={paths.nodes} element={<NodesRoute />} />
            <Route path={paths.newNode} element={<CreateNodeRoute />} />
            <Route path="/nodes/:id/:tab?" element={<NodeRoute />} />
            <Route path={paths.labs} element={<LabsRoute />} />
            <Route path="/labs/:id" element={<LabRoute />} />
            <Route path={paths.images} element={<ImagesRoute />} />
            <Route path={paths.catalog} element={<CatalogRoute />} />
            <Route path="/images/:id" element={<ImagePage />} />
            <Route path={paths.account} element={<AccountPage />} />
            <Route path="/help" element={<HelpPage />} />
            <Route path="/help/:name" element={<GuidePage />} />
            {adminRoutes()}
            <Route path="*" element={<NotFoundPage />} />
          </Route>
        </Route>
      </Routes>
    </Later>
  );
}

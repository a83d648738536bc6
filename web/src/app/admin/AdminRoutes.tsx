import { lazy } from "react";
import { Navigate, Route } from "react-router";

import { useSession } from "../../features/session/api/session";
import { paths } from "../../shared/paths";
import { AdminLayout } from "./AdminLayout";

const AuditPage = lazy(() => import("../../features/audit/AuditPage"));
const GroupsPage = lazy(() => import("../../features/users/GroupsPage"));
const GuacamoleSyncPage = lazy(() => import("../../features/system/GuacamoleSyncPage"));
const HostsRoute = lazy(() => import("../pages/HostsRoute"));
const JobsPage = lazy(() => import("../../features/jobs/JobsPage"));
const SettingsPage = lazy(() => import("../../features/system/SettingsPage"));
const UserPage = lazy(() => import("../../features/users/UserPage"));
const UsersPage = lazy(() => import("../../features/users/UsersPage"));

/** The routes of administration. A function, not a component, because Routes does not look into components. */
export function adminRoutes() {
  return (
    <Route element={<AdminLayout />}>
      <Route path={paths.admin} element={<Navigate replace to={paths.users} />} />
      <Route path={paths.users} element={<As page={UsersPage} />} />
      <Route path={`${paths.users}/:name`} element={<AsMyself />} />
      <Route path={paths.groups} element={<As page={GroupsPage} />} />
      <Route path={paths.hosts} element={<HostsRoute />} />
      <Route path={paths.jobs} element={<As page={JobsPage} />} />
      <Route path={paths.audit} element={<AuditPage />} />
      <Route path={paths.guacamoleSync} element={<GuacamoleSyncPage />} />
      <Route path={paths.settings} element={<SettingsPage />} />
    </Route>
  );
}

/** A page that shows more to administrators. */
function As({ page: Page }: { page: React.ComponentType<{ isAdmin: boolean }> }) {
  return <Page isAdmin={useSession().data?.user.role === "admin"} />;
}

function AsMyself() {
  return <UserPage myName={useSession().data?.user.name ?? ""} />;
}

import { EmptyState, EmptyStateBody, PageSection } from "@patternfly/react-core";
import LockIcon from "@patternfly/react-icons/dist/esm/icons/lock-icon";
import { NavLink, Outlet, useLocation } from "react-router";

import { useSession } from "../../features/session/api/session";
import { Later } from "../../shared/ui/Later";
import { TabLinks } from "../../shared/ui/TabLinks";
import { usePageTitle } from "../../shared/usePageTitle";
import { adminPlaces, mayAdminister, placeOf } from "./places";

/** The tabs around the administration pages; each user sees the pages that their role may open. */
export function AdminLayout() {
  const role = useSession().data?.user.role ?? "";
  const { pathname } = useLocation();
  const place = placeOf(pathname);
  const isAllowed = mayAdminister(role) && (role === "admin" || place?.forInstructors === true);
  return (
    <>
      {mayAdminister(role) && (
        <TabLinks className="sl-admin-tabs" label="Administration">
          {adminPlaces
            .filter(({ forInstructors }) => forInstructors || role === "admin")
            .map(({ to, text }) => (
              <NavLink key={to} to={to}>
                {text}
              </NavLink>
            ))}
        </TabLinks>
      )}
      {isAllowed ? (
        <Later what="the page">
          <Outlet />
        </Later>
      ) : (
        <NotAllowed />
      )}
    </>
  );
}

function NotAllowed() {
  usePageTitle("No permission");
  return (
    <PageSection isFilled aria-label="No permission">
      <EmptyState headingLevel="h1" icon={LockIcon} titleText="No permission">
        <EmptyStateBody>You don't have permission to view this page. Ask an administrator.</EmptyStateBody>
      </EmptyState>
    </PageSection>
  );
}

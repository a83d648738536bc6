import { Bullseye, Spinner } from "@patternfly/react-core";
import { Navigate, Outlet, useLocation } from "react-router";

import { paths } from "../../shared/paths";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { ForcedChangePage } from "./ForcedChangePage";
import { useSession } from "./api/session";

/** Shows its child routes to signed-in users, and redirects others to the sign-in page. */
export function RequireSession() {
  const session = useSession();
  const location = useLocation();
  if (session.isPending) {
    return (
      <Bullseye className="sl-fill">
        <Spinner aria-label="Loading" />
      </Bullseye>
    );
  }
  if (session.data?.mustChangePassword) {
    return <ForcedChangePage username={session.data.user.name} />;
  }
  if (session.data) {
    return <Outlet />;
  }
  if (session.error) {
    return (
      <main className="sl-login">
        <ProblemAlert title="Couldn't load SandboxLabs" error={session.error} onRetry={() => void session.refetch()} />
      </main>
    );
  }
  const next = location.pathname === "/" ? "" : `?next=${encodeURIComponent(location.pathname + location.search)}`;
  return <Navigate replace to={paths.login + next} />;
}

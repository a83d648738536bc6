import { NotificationDrawer, NotificationDrawerBody, NotificationDrawerHeader } from "@patternfly/react-core";
import { Link } from "react-router";

import { useSession } from "../../features/session/api/session";
import { paths } from "../../shared/paths";
import { mayAdminister } from "../admin/places";
import { useWork } from "./useWork";
import { WorkList } from "./WorkList";

/** The running tasks, in a drawer next to every page. */
export default function WorkDrawer({ onClose }: { onClose: () => void }) {
  const work = useWork();
  const role = useSession().data?.user.role ?? "";
  return (
    <NotificationDrawer aria-label="Activity">
      <NotificationDrawerHeader title="Activity" onClose={onClose} />
      <NotificationDrawerBody>
        <div className="sl-work-drawer">
          <WorkList work={work} />
          {mayAdminister(role) && (
            <p>
              <Link to={paths.jobs} onClick={onClose}>
                View all jobs
              </Link>
            </p>
          )}
        </div>
      </NotificationDrawerBody>
    </NotificationDrawer>
  );
}

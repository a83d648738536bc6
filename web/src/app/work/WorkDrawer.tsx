import { NotificationDrawer, NotificationDrawerBody, NotificationDrawerHeader } from "@patternfly/react-core";
import { Link } from "react-router";

import { useSession } from "../../features/session/api/session";
import { paths } from "../../shared/paths";
import { mayAdminister } from "../admin/places";
import { useWork } from "./useWork";
import { WorkList } from "./WorkList";

/** The long work, at the side of every page. */
export default function WorkDrawer({ onClose }: { onClose: () => void }) {
  const work = useWork();
  const role = useSession().data?.user.role ?? "";
  return (
    <NotificationDrawer aria-label="Running work">
      <NotificationDrawerHeader title="Running work" onClose={onClose} />
      <NotificationDrawerBody>
        <div className="sl-work-drawer">
          <WorkList work={work} />
          {mayAdminister(role) && (
            <p>
              <Link to={paths.jobs} onClick={onClose}>
                Show all jobs
              </Link>
            </p>
          )}
        </div>
      </NotificationDrawerBody>
    </NotificationDrawer>
  );
}

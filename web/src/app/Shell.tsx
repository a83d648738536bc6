import {
  Masthead,
  MastheadBrand,
  MastheadContent,
  MastheadLogo,
  MastheadMain,
  Nav,
  NavItem,
  NavList,
  Page,
  SkipToContent,
} from "@patternfly/react-core";
import { lazy, useState } from "react";
import { Link, Outlet, useLocation } from "react-router";

import { HostBanners } from "../features/hosts/HostBanners";
import { uploads } from "../features/images/uploads";
import { ConfirmItsYou } from "../features/session/components/ConfirmItsYou";
import { UserMenu } from "../features/session/UserMenu";
import { useSession } from "../features/session/api/session";
import { paths } from "../shared/paths";
import { Later } from "../shared/ui/Later";
import { HelpMenu } from "./HelpMenu";
import { LiveUpdates } from "./LiveUpdates";
import { Logo } from "./Logo";
import { NavMenu } from "./NavMenu";
import { ThemeMenu } from "./ThemeMenu";
import { mayAdminister } from "./admin/places";
import { WorkButton } from "./work/WorkButton";

const WorkDrawer = lazy(() => import("./work/WorkDrawer"));

const mainID = "main";

const places = [
  { to: paths.home, text: "Dashboard" },
  { to: paths.nodes, text: "Nodes" },
  { to: paths.labs, text: "Labs" },
  { to: paths.images, text: "Images" },
] as const;

/** The header and navigation around every page after sign-in. */
export function Shell() {
  const { pathname } = useLocation();
  const role = useSession().data?.user.role ?? "";
  const shown = [...places, ...(mayAdminister(role) ? [{ to: paths.admin, text: "Admin" }] : [])].map((place) => ({
    ...place,
    isCurrent: pathname === place.to || (place.to !== paths.home && pathname.startsWith(`${place.to}/`)),
  }));
  const [showsWork, setShowsWork] = useState(false);
  return (
    <Page
      isNotificationDrawerExpanded={showsWork}
      notificationDrawer={
        showsWork && (
          <Later what="the activity">
            <WorkDrawer onClose={() => setShowsWork(false)} />
          </Later>
        )
      }
      mainContainerId={mainID}
      isContentFilled
      skipToContent={<SkipToContent href={`#${mainID}`}>Skip to content</SkipToContent>}
      masthead={
        <Masthead display={{ default: "inline" }} className="sl-masthead">
          <MastheadMain>
            <NavMenu places={shown} />
            <MastheadBrand>
              <MastheadLogo
                component={(props: object) => <Link {...props} to={paths.home} aria-label="SandboxLabs dashboard" />}
              >
                <Logo size={32} />
                <span className="sl-wordmark">SandboxLabs</span>
              </MastheadLogo>
            </MastheadBrand>
          </MastheadMain>
          <MastheadContent>
            <div className="sl-masthead__content">
              <Nav variant="horizontal" aria-label="Main">
                <NavList>
                  {shown.map(({ to, text, isCurrent }) => (
                    <NavItem key={to} itemId={to} isActive={isCurrent}>
                      <Link to={to}>{text}</Link>
                    </NavItem>
                  ))}
                </NavList>
              </Nav>
              <div className="sl-masthead__menus">
                <WorkButton isOpen={showsWork} onToggle={() => setShowsWork(!showsWork)} />
                <ThemeMenu />
                <HelpMenu />
                <UserMenu wouldCutOff={() => uploads.isBusy()} />
              </div>
            </div>
          </MastheadContent>
        </Masthead>
      }
    >
      <LiveUpdates />
      <HostBanners />
      <ConfirmItsYou />
      <Later what="the page">
        <Outlet />
      </Later>
    </Page>
  );
}

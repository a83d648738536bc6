import { DropdownGroup, DropdownItem } from "@patternfly/react-core";
import SignOutAltIcon from "@patternfly/react-icons/dist/esm/icons/sign-out-alt-icon";
import CogIcon from "@patternfly/react-icons/dist/esm/icons/cog-icon";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import { useNavigate } from "react-router";

import { paths } from "../../shared/paths";
import { Menu } from "../../shared/ui/Menu";
import { useToasts } from "../../shared/ui/toasts";
import { useSession } from "./api/session";
import { useSignOut } from "./api/signOut";

/** Who is signed in, and the ways to the account and out. Nothing where the service asks nobody to sign in. */
export function UserMenu() {
  const session = useSession();
  const signOut = useSignOut();
  const toasts = useToasts();
  const navigate = useNavigate();
  if (session.data?.auth !== "on") {
    return null;
  }
  const { name, role } = session.data.user;
  return (
    <Menu label={`Account of ${name}`} icon={<UserIcon />}>
      <DropdownGroup label={role === "" ? name : `${name}, ${role}`}>
        <DropdownItem icon={<CogIcon />} onClick={() => void navigate(paths.account)}>
          Account
        </DropdownItem>
        <DropdownItem
          icon={<SignOutAltIcon />}
          onClick={() =>
            signOut.mutate(undefined, { onError: (error) => toasts.failure("You are still signed in", error) })
          }
        >
          Sign out
        </DropdownItem>
      </DropdownGroup>
    </Menu>
  );
}

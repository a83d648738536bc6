import { DropdownGroup, DropdownItem } from "@patternfly/react-core";
import SignOutAltIcon from "@patternfly/react-icons/dist/esm/icons/sign-out-alt-icon";
import CogIcon from "@patternfly/react-icons/dist/esm/icons/cog-icon";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import { useState } from "react";
import { useNavigate } from "react-router";

import { paths } from "../../shared/paths";
import { ConfirmDialog } from "../../shared/ui/ConfirmDialog";
import { Menu } from "../../shared/ui/Menu";
import { useToasts } from "../../shared/ui/toasts";
import { useSession } from "./api/session";
import { useSignOut } from "./api/signOut";

interface UserMenuProps {
  /** Whether signing out would interrupt uploads. */
  wouldCutOff: () => boolean;
}

/** The menu of the signed-in user, with links to the account and to sign out. Nothing if sign-in is turned off. */
export function UserMenu({ wouldCutOff }: UserMenuProps) {
  const session = useSession();
  const signOut = useSignOut();
  const toasts = useToasts();
  const navigate = useNavigate();
  const [isAsked, setAsked] = useState(false);
  if (session.data?.auth !== "on") {
    return null;
  }
  const { name, role } = session.data.user;
  const leave = () => {
    if (wouldCutOff()) {
      setAsked(true);
    } else {
      signOut.mutate(undefined, { onError: (error) => toasts.failure("Couldn't sign out", error) });
    }
  };
  return (
    <>
      <Menu label={`Account of ${name}`} icon={<UserIcon />}>
        <DropdownGroup label={role === "" ? name : `${name}, ${role}`}>
          <DropdownItem icon={<CogIcon />} onClick={() => void navigate(paths.account)}>
            Account
          </DropdownItem>
          <DropdownItem icon={<SignOutAltIcon />} onClick={leave}>
            Sign out
          </DropdownItem>
        </DropdownGroup>
      </Menu>
      {isAsked && (
        <ConfirmDialog
          title="Sign out during an upload?"
          action="Sign out"
          pending={signOut.isPending}
          error={signOut.error}
          onConfirm={() => signOut.mutate()}
          onClose={() => {
            setAsked(false);
            signOut.reset();
          }}
        >
          Uploads in this tab will stop. Sign in again and choose the same files to resume.
        </ConfirmDialog>
      )}
    </>
  );
}

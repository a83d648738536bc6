import { Button, EmptyState, EmptyStateBody, Label, PageSection, Skeleton } from "@patternfly/react-core";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { Link } from "react-router";

import type { Account } from "../../shared/api/types";
import { paths } from "../../shared/paths";
import { Ago } from "../../shared/ui/Ago";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { SearchToolbar, useSearch } from "../../shared/ui/SearchToolbar";
import { roleText } from "./account";
import { useUsers } from "./api/users";
import { NewUserDialog } from "./components/NewUserDialog";
import { bounds, shareOf, usageOf } from "./quota";
import "./users.css";

/** All accounts; users who aren't administrators see names and roles, to share with them. */
export default function UsersPage({ isAdmin }: { isAdmin: boolean }) {
  const users = useUsers();
  const [isAsked, setAsked] = useState(false);
  const { fits } = useSearch();
  const found = users.data?.filter(({ name, role }) => fits(`${name} ${roleText(role)}`));
  return (
    <>
      <PageHeader
        title="Users"
        description={isAdmin ? "Accounts, roles and quotas." : "People you can share with."}
        actions={
          isAdmin && (
            <Button icon={<PlusIcon />} onClick={() => setAsked(true)}>
              Create user
            </Button>
          )
        }
      />
      <PageSection isFilled aria-label="List of users">
        {users.error && (
          <ProblemAlert title="Couldn't load the users" error={users.error} onRetry={() => void users.refetch()} />
        )}
        {users.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {users.data && found && (
          <>
            <SearchToolbar label="Search users" placeholder="Search users" />
            {found.length > 0 ? (
              <UsersTable users={found} isAdmin={isAdmin} />
            ) : (
              <EmptyState variant="sm" headingLevel="h2" icon={SearchIcon} titleText="No matches">
                <EmptyStateBody>Clear the search to see all users.</EmptyStateBody>
              </EmptyState>
            )}
          </>
        )}
      </PageSection>
      {isAsked && <NewUserDialog taken={users.data?.map(({ name }) => name) ?? []} onClose={() => setAsked(false)} />}
    </>
  );
}

function UsersTable({ users, isAdmin }: { users: readonly Account[]; isAdmin: boolean }) {
  return (
    <Table aria-label="Users" variant="compact" gridBreakPoint="grid-md" className="sl-table">
      <Thead>
        <Tr>
          <Th width={25}>Name</Th>
          <Th>Role</Th>
          {isAdmin && <Th width={40}>Usage</Th>}
          {isAdmin && <Th>Created</Th>}
        </Tr>
      </Thead>
      <Tbody>
        {users.map((user) => (
          <Tr key={user.name} data-user={user.name}>
            <Td dataLabel="Name" modifier="breakWord">
              {isAdmin ? (
                <Link className="sl-name" to={paths.user(user.name)}>
                  {user.name}
                </Link>
              ) : (
                user.name
              )}
              {user.disabled && (
                <Label isCompact color="orange" className="sl-elsewhere">
                  Disabled
                </Label>
              )}
            </Td>
            <Td dataLabel="Role">{roleText(user.role)}</Td>
            {isAdmin && (
              <Td dataLabel="Usage">
                <Uses user={user} />
              </Td>
            )}
            {isAdmin && <Td dataLabel="Created">{user.created && <Ago time={user.created} />}</Td>}
          </Tr>
        ))}
      </Tbody>
    </Table>
  );
}

const shownHere = ["nodes", "running", "disk"] as const;

/** An account's usage in one line; values near their limit are highlighted. */
function Uses({ user }: { user: Account }) {
  const usages = usageOf(user).filter(
    (usage) => (shownHere as readonly string[]).includes(usage.name) || shareOf(usage) >= 0.8,
  );
  return (
    <span className="sl-uses">
      {usages.map((usage) => {
        const share = shareOf(usage);
        return (
          <Label
            key={usage.name}
            isCompact
            variant="outline"
            color={share >= 1 && usage.used > 0 ? "red" : share >= 0.8 && usage.used > 0 ? "orange" : "grey"}
          >
            {bounds[usage.name].label}: {usage.text}
          </Label>
        );
      })}
    </span>
  );
}

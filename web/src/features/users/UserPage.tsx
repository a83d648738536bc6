import {
  ActionGroup,
  Button,
  Card,
  CardBody,
  CardTitle,
  Checkbox,
  EmptyState,
  EmptyStateBody,
  Form,
  Label,
  PageSection,
  Skeleton,
} from "@patternfly/react-core";
import UserIcon from "@patternfly/react-icons/dist/esm/icons/user-icon";
import { useState } from "react";
import { Link, useNavigate, useParams } from "react-router";

import { RequestError } from "../../shared/api/problem";
import type { Account } from "../../shared/api/types";
import { formatTime } from "../../shared/format";
import { paths } from "../../shared/paths";
import { ConfirmDialog } from "../../shared/ui/ConfirmDialog";
import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { Secret } from "../../shared/ui/Secret";
import { useToasts } from "../../shared/ui/toasts";
import { handOver, makePassword, roleText } from "./account";
import { useChangeUser, useUser } from "./api/users";
import { DeleteUserDialog } from "./components/DeleteUserDialog";
import { QuotaFields } from "./components/QuotaFields";
import { RoleSelect } from "./components/RoleSelect";
import { UsageBars } from "./components/UsageBars";
import { boundNames, boundProblem, draftOf, quotaOf } from "./quota";
import "./users.css";

/** One account: role, usage, quota, and the actions of an administrator. */
export default function UserPage({ myName }: { myName: string }) {
  const { name = "" } = useParams();
  const user = useUser(name);
  const isGone = user.error instanceof RequestError && user.error.status === 404;
  return (
    <>
      <PageHeader
        title={name}
        status={user.data?.disabled && <Label color="orange">Disabled</Label>}
        description={
          user.data && (
            <>
              {roleText(user.data.role)}
              {user.data.created && `, since ${formatTime(user.data.created)}`}
              {" · "}
              <Link to={paths.auditOf(name)}>View audit log</Link>
            </>
          )
        }
      />
      <PageSection isFilled aria-label={`Account ${name}`}>
        {isGone && (
          <EmptyState headingLevel="h2" icon={UserIcon} titleText="User not found">
            <EmptyStateBody>
              The account may have been deleted. <Link to={paths.users}>View all users</Link>
            </EmptyStateBody>
          </EmptyState>
        )}
        {user.error && !isGone && (
          <ProblemAlert title="Couldn't load the user" error={user.error} onRetry={() => void user.refetch()} />
        )}
        {user.isPending && <Skeleton height="8rem" screenreaderText="Loading" />}
        {user.data && !isGone && (
          <div className="sl-user">
            <Card className="sl-user__wide">
              <CardTitle component="h2">Usage</CardTitle>
              <CardBody>
                <UsageBars account={user.data} />
              </CardBody>
            </Card>
            <QuotaCard key={JSON.stringify(user.data.quota)} user={user.data} />
            <div className="sl-loading">
              <RoleCard key={user.data.role} user={user.data} />
              <PasswordCard user={user.data} isMe={name === myName} />
              <DangerCard user={user.data} isMe={name === myName} />
            </div>
          </div>
        )}
      </PageSection>
    </>
  );
}

function QuotaCard({ user }: { user: Account }) {
  const [draft, setDraft] = useState(draftOf(user.quota));
  const change = useChangeUser(user);
  const toasts = useToasts();
  const isReady = boundNames.every((name) => boundProblem(name, draft[name]) === "");
  return (
    <Card>
      <CardTitle component="h2">Quota</CardTitle>
      <CardBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            if (isReady) {
              change.mutate({ quota: quotaOf(draft) }, { onSuccess: () => toasts.success("Quota saved") });
            }
          }}
        >
          {change.error && <ProblemAlert title="Couldn't save the quota" error={change.error} />}
          <QuotaFields draft={draft} onChange={setDraft} />
          <ActionGroup>
            <Button
              type="submit"
              variant="secondary"
              isDisabled={!isReady || change.isPending}
              isLoading={change.isPending}
            >
              Save quota
            </Button>
          </ActionGroup>
        </Form>
      </CardBody>
    </Card>
  );
}

function RoleCard({ user }: { user: Account }) {
  const [role, setRole] = useState(user.role);
  const change = useChangeUser(user);
  const toasts = useToasts();
  return (
    <Card>
      <CardTitle component="h2">Role</CardTitle>
      <CardBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            change.mutate(
              { role },
              { onSuccess: () => toasts.success(`Role changed to ${roleText(role).toLowerCase()}`) },
            );
          }}
        >
          {change.error && <ProblemAlert title="Couldn't change the role" error={change.error} />}
          <RoleSelect id="role" role={role} onChange={setRole} />
          <ActionGroup>
            <Button
              type="submit"
              variant="secondary"
              isDisabled={role === user.role || change.isPending}
              isLoading={change.isPending}
            >
              Change role
            </Button>
          </ActionGroup>
        </Form>
      </CardBody>
    </Card>
  );
}

function PasswordCard({ user, isMe }: { user: Account; isMe: boolean }) {
  const [isAsked, setAsked] = useState(false);
  const [keepTokens, setKeepTokens] = useState(false);
  const [password, setPassword] = useState("");
  const change = useChangeUser(user);
  const reset = () => {
    const fresh = makePassword();
    change.mutate(
      { password: fresh, keepTokens },
      {
        onSuccess: () => {
          setPassword(fresh);
          setAsked(false);
        },
      },
    );
  };
  return (
    <Card>
      <CardTitle component="h2">Password</CardTitle>
      <CardBody>
        {password !== "" ? (
          <Secret warning={handOver(user.name)} secret={password} copyLabel="Copy password" />
        ) : isMe ? (
          <p>
            Change your own password on the <Link to={paths.account}>account page</Link>.
          </p>
        ) : (
          <>
            <p className="sl-account__about sl-subtle">Generates a new password and signs the user out.</p>
            <Button variant="secondary" onClick={() => setAsked(true)}>
              Reset password
            </Button>
          </>
        )}
        {isAsked && (
          <ConfirmDialog
            title={`Reset the password of ${user.name}?`}
            action="Reset password"
            pending={change.isPending}
            error={change.error}
            onConfirm={reset}
            onClose={() => {
              setAsked(false);
              change.reset();
            }}
          >
            <p className="sl-account__about">
              The current password stops working, and {user.name} is signed out everywhere.
            </p>
            <Checkbox
              id="keep-tokens"
              label="Keep API tokens"
              description="Otherwise all API tokens of the account are revoked."
              isChecked={keepTokens}
              onChange={(_event, checked) => setKeepTokens(checked)}
            />
          </ConfirmDialog>
        )}
      </CardBody>
    </Card>
  );
}

function DangerCard({ user, isMe }: { user: Account; isMe: boolean }) {
  const [asked, setAsked] = useState<"disable" | "delete" | null>(null);
  const change = useChangeUser(user);
  const toasts = useToasts();
  const navigate = useNavigate();
  const close = () => {
    setAsked(null);
    change.reset();
  };
  if (isMe) {
    return null;
  }
  const setDisabled = (disabled: boolean) =>
    change.mutate(
      { disabled },
      {
        onSuccess: () => {
          setAsked(null);
          toasts.success(`${user.name} was ${disabled ? "disabled" : "enabled"}`);
        },
        ...(disabled ? {} : { onError: (error: Error) => toasts.failure(`Couldn't enable ${user.name}`, error) }),
      },
    );
  return (
    <Card>
      <CardTitle component="h2">Disable or delete</CardTitle>
      <CardBody>
        <div className="sl-user__danger">
          {user.disabled ? (
            <Button variant="secondary" isLoading={change.isPending} onClick={() => setDisabled(false)}>
              Enable
            </Button>
          ) : (
            <Button variant="secondary" isDanger onClick={() => setAsked("disable")}>
              Disable
            </Button>
          )}
          <Button variant="danger" onClick={() => setAsked("delete")}>
            Delete
          </Button>
        </div>
        {asked === "disable" && (
          <ConfirmDialog
            title={`Disable ${user.name}?`}
            action="Disable"
            pending={change.isPending}
            error={change.error}
            onConfirm={() => setDisabled(true)}
            onClose={close}
          >
            Sessions, tokens, consoles and screens of the account end within seconds. Its nodes and images are kept, and
            running nodes keep running. You can enable the account again.
          </ConfirmDialog>
        )}
        {asked === "delete" && (
          <DeleteUserDialog
            name={user.name}
            onDeleted={(isRunning) => {
              toasts.success(isRunning ? `Deleting ${user.name}…` : `${user.name} was deleted`);
              void navigate(isRunning ? paths.jobs : paths.users);
            }}
            onClose={close}
          />
        )}
      </CardBody>
    </Card>
  );
}

import { Button, EmptyState, EmptyStateBody, PageSection, Skeleton, Title } from "@patternfly/react-core";
import KeyIcon from "@patternfly/react-icons/dist/esm/icons/key-icon";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import UnlockIcon from "@patternfly/react-icons/dist/esm/icons/unlock-icon";
import { useState } from "react";

import { PageHeader } from "../../shared/ui/PageHeader";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { useSession } from "./api/session";
import { useTokens } from "./api/tokens";
import { NewTokenDialog } from "./components/NewTokenDialog";
import { PasswordForm } from "./components/PasswordForm";
import { SSHKeys } from "./components/SSHKeys";
import { SecondFactor } from "./components/SecondFactor";
import { Sessions } from "./components/Sessions";
import { TokenList } from "./components/TokenList";

/** The user's account: API tokens, SSH keys, sessions, two-factor authentication and password. */
export default function AccountPage() {
  const session = useSession();
  if (session.data?.auth !== "on") {
    return (
      <>
        <PageHeader title="Account" />
        <PageSection isFilled aria-label="Account">
          <EmptyState headingLevel="h2" icon={UnlockIcon} titleText="Sign-in is turned off">
            <EmptyStateBody>There are no accounts, and scripts don't need a token (auth: off).</EmptyStateBody>
          </EmptyState>
        </PageSection>
      </>
    );
  }
  const { user, external, totp, recoveryCodes, sshKeys } = session.data;
  const { name, role } = user;
  return (
    <>
      <PageHeader
        title="Account"
        description={role === "" ? name : `Signed in as ${name} (${role === "admin" ? "administrator" : role})`}
      />
      <PageSection isFilled aria-label="Account">
        <Tokens seesAll={role === "admin"} />
        <SSHKeys keys={sshKeys} />
        <Sessions />
        {external ? (
          <section className="sl-section" aria-label="Sign-in">
            <Title headingLevel="h2" size="lg">
              Sign-in
            </Title>
            <p className="sl-account__about sl-subtle">
              You sign in through a provider. Change your password and set up two-factor authentication there.
            </p>
          </section>
        ) : (
          <>
            <SecondFactor isOn={totp} codesLeft={recoveryCodes ?? 0} />
            <section className="sl-section" aria-label="Password">
              <Title headingLevel="h2" size="lg">
                Password
              </Title>
              <p className="sl-account__about sl-subtle">Signs you out on other devices. API tokens keep working.</p>
              <PasswordForm username={name} />
            </section>
          </>
        )}
      </PageSection>
    </>
  );
}

function Tokens({ seesAll }: { seesAll: boolean }) {
  const tokens = useTokens();
  const [isAsked, setAsked] = useState(false);
  return (
    <section className="sl-section" aria-label="API tokens">
      <Title headingLevel="h2" size="lg">
        API tokens
      </Title>
      <p className="sl-account__about sl-subtle">
        Use tokens to access the API from scripts.
        {seesAll && " As an administrator you see all users' tokens."}
      </p>
      {tokens.error && (
        <ProblemAlert title="Couldn't load the tokens" error={tokens.error} onRetry={() => void tokens.refetch()} />
      )}
      {tokens.isPending && <Skeleton height="4rem" screenreaderText="Loading" />}
      {tokens.data?.length === 0 && (
        <EmptyState variant="xs" headingLevel="h3" icon={KeyIcon} titleText="No tokens yet" />
      )}
      {tokens.data && tokens.data.length > 0 && <TokenList tokens={tokens.data} showsUser={seesAll} />}
      <Button variant="secondary" icon={<PlusIcon />} className="sl-account__new" onClick={() => setAsked(true)}>
        Create token
      </Button>
      {isAsked && <NewTokenDialog onClose={() => setAsked(false)} />}
    </section>
  );
}

import { Button, Card, CardBody, CardHeader, Title } from "@patternfly/react-core";

import { useToasts } from "../../shared/ui/toasts";
import { usePageTitle } from "../../shared/usePageTitle";
import { useSignOut } from "./api/signOut";
import { PasswordForm } from "./components/PasswordForm";

/** Asks for a new password before anything else, because the administrator knows the current one. */
export function ForcedChangePage({ username }: { username: string }) {
  usePageTitle("Set a new password");
  const signOut = useSignOut();
  const toasts = useToasts();
  return (
    <main className="sl-login">
      <Card className="sl-login__card" isLarge>
        <CardHeader>
          <Title headingLevel="h1" size="xl">
            Set a new password
          </Title>
          <p>Your administrator knows the current password of {username}.</p>
        </CardHeader>
        <CardBody>
          <PasswordForm username={username} />
        </CardBody>
      </Card>
      <Button
        variant="link"
        onClick={() => signOut.mutate(undefined, { onError: (error) => toasts.failure("Couldn't sign out", error) })}
      >
        Sign out
      </Button>
    </main>
  );
}

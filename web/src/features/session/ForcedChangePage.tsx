import { Button, Card, CardBody, CardHeader, Title } from "@patternfly/react-core";

import { useToasts } from "../../shared/ui/toasts";
import { usePageTitle } from "../../shared/usePageTitle";
import { useSignOut } from "./api/signOut";
import { PasswordForm } from "./components/PasswordForm";

/** Asks for a password that nobody else knows, before anything else. */
export function ForcedChangePage({ username }: { username: string }) {
  usePageTitle("Choose a password");
  const signOut = useSignOut();
  const toasts = useToasts();
  return (
    <main className="sl-login">
      <Card className="sl-login__card" isLarge>
        <CardHeader>
          <Title headingLevel="h1" size="xl">
            Choose a password of your own
          </Title>
          <p>Whoever made your account, {username}, knows the present one.</p>
        </CardHeader>
        <CardBody>
          <PasswordForm username={username} />
        </CardBody>
      </Card>
      <Button
        variant="link"
        onClick={() =>
          signOut.mutate(undefined, { onError: (error) => toasts.failure("You are still signed in", error) })
        }
      >
        Sign out
      </Button>
    </main>
  );
}

import { ActionGroup, Button, Card, CardBody, CardHeader, Form, FormGroup, TextInput, Title } from "@patternfly/react-core";
import { type ReactNode, type SyntheticEvent, useState } from "react";
import { Navigate, useSearchParams } from "react-router";

import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { usePageTitle } from "../../shared/usePageTitle";
import { useSession } from "./api/session";
import { useSignIn } from "./api/signIn";
import { safeNext } from "./next";

/** Asks for name and password, then goes to the page that was asked for (?next=). */
export default function LoginPage({ logo }: { logo: ReactNode }) {
  usePageTitle("Sign in");
  const [search] = useSearchParams();
  const session = useSession();
  const signIn = useSignIn();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");

  if (session.data) {
    return <Navigate replace to={safeNext(search.get("next"))} />;
  }
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (!signIn.isPending) {
      signIn.mutate({ username, password });
    }
  };
  return (
    <main className="sl-login">
      <Card className="sl-login__card" isLarge>
        <CardHeader>
          {logo}
          <Title headingLevel="h1" size="xl">
            Sign in to SandboxLabs
          </Title>
        </CardHeader>
        <CardBody>
          <Form onSubmit={submit}>
            {signIn.error && <ProblemAlert title="You are not signed in" error={signIn.error} />}
            {session.error && (
              <ProblemAlert
                title="The service cannot be reached"
                error={session.error}
                onRetry={() => void session.refetch()}
              />
            )}
            <FormGroup label="User name" fieldId="username" isRequired>
              <TextInput
                id="username"
                name="username"
                autoComplete="username"
                autoCapitalize="off"
                spellCheck={false}
                autoFocus
                isRequired
                value={username}
                onChange={(_event, value) => setUsername(value)}
              />
            </FormGroup>
            <FormGroup label="Password" fieldId="password" isRequired>
              <TextInput
                id="password"
                name="password"
                type="password"
                autoComplete="current-password"
                isRequired
                value={password}
                onChange={(_event, value) => setPassword(value)}
              />
            </FormGroup>
            <ActionGroup>
              <Button
                type="submit"
                isBlock
                isLoading={signIn.isPending}
                isDisabled={signIn.isPending || username === "" || password === ""}
              >
                Sign in
              </Button>
            </ActionGroup>
          </Form>
        </CardBody>
      </Card>
      <p className="sl-login__hint">
        The password was shown when the service first started. Lost it? On the server,{" "}
        <code>sandboxlabs recover-admin</code> makes a new one.
      </p>
    </main>
  );
}

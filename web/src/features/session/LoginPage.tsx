import {
  ActionGroup,
  Alert,
  Button,
  Card,
  CardBody,
  CardHeader,
  Divider,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextInput,
  Title,
} from "@patternfly/react-core";
import { type ReactNode, type SyntheticEvent, useState } from "react";
import { Navigate, useSearchParams } from "react-router";

import { atBase } from "../../shared/base";
import { RequestError } from "../../shared/api/problem";
import { ProblemAlert } from "../../shared/ui/ProblemAlert";
import { usePageTitle } from "../../shared/usePageTitle";
import { useMethods } from "./api/methods";
import { useSession } from "./api/session";
import { useSignIn } from "./api/signIn";
import { providerProblem, safeNext } from "./next";

/** Asks for user name and password, and for a code if two-factor authentication is on, then goes to the requested page (?next=). */
export default function LoginPage({ logo }: { logo: ReactNode }) {
  usePageTitle("Sign in");
  const [search] = useSearchParams();
  const session = useSession();
  const methods = useMethods();
  const signIn = useSignIn();
  const [username, setUsername] = useState("");
  const [password, setPassword] = useState("");
  const [code, setCode] = useState("");
  const [isCodeAsked, setCodeAsked] = useState(false);
  const next = safeNext(search.get("next"));

  if (session.data) {
    return <Navigate replace to={next} />;
  }
  const submit = (event: SyntheticEvent) => {
    event.preventDefault();
    if (signIn.isPending) {
      return;
    }
    signIn.mutate(
      { username, password, ...(isCodeAsked ? { code } : {}) },
      {
        onError: (error) => {
          if (error instanceof RequestError && error.code === "second_factor_required") {
            setCode("");
            setCodeAsked(true);
          } else if (error instanceof RequestError && error.status === 401) {
            setCodeAsked(false);
          }
        },
      },
    );
  };
  const isFirstAsking =
    isCodeAsked &&
    signIn.variables?.code === undefined &&
    signIn.error instanceof RequestError &&
    signIn.error.status === 401;
  const provider = methods.data?.oidc;
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
            {search.has("problem") && signIn.isIdle && (
              <Alert isInline isLiveRegion variant="danger" component="h2" title="Sign-in failed">
                {providerProblem(search.get("problem"))}
              </Alert>
            )}
            {signIn.error && !isFirstAsking && <ProblemAlert title="Sign-in failed" error={signIn.error} />}
            {session.error && (
              <ProblemAlert
                title="Can't reach SandboxLabs"
                error={session.error}
                onRetry={() => void session.refetch()}
              />
            )}
            {isCodeAsked ? (
              <FormGroup label="Code" fieldId="code" isRequired>
                <TextInput
                  id="code"
                  name="code"
                  autoComplete="one-time-code"
                  autoCapitalize="off"
                  spellCheck={false}
                  autoFocus
                  isRequired
                  value={code}
                  aria-describedby="code-help"
                  onChange={(_event, value) => setCode(value)}
                />
                <FormHelperText>
                  <HelperText id="code-help">
                    <HelperTextItem>
                      Enter the 6-digit code from your authenticator app, or a recovery code.
                    </HelperTextItem>
                  </HelperText>
                </FormHelperText>
              </FormGroup>
            ) : (
              <>
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
              </>
            )}
            <ActionGroup>
              <Button
                type="submit"
                isBlock
                isLoading={signIn.isPending}
                isDisabled={
                  signIn.isPending || username === "" || password === "" || (isCodeAsked && code.trim() === "")
                }
              >
                Sign in
              </Button>
              {isCodeAsked && (
                <Button
                  variant="link"
                  isBlock
                  onClick={() => {
                    signIn.reset();
                    setCodeAsked(false);
                    setPassword("");
                  }}
                >
                  Use a different account
                </Button>
              )}
            </ActionGroup>
            {provider && !isCodeAsked && (
              <>
                <Divider />
                <Button
                  variant="secondary"
                  isBlock
                  component="a"
                  href={atBase(`/api/auth/oidc/login?next=${encodeURIComponent(next)}`)}
                  className="sl-break"
                >
                  Sign in with {provider.name}
                </Button>
              </>
            )}
          </Form>
        </CardBody>
      </Card>
      <p className="sl-login__hint">Forgot your password? Ask your administrator.</p>
    </main>
  );
}

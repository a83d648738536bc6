import { Button, Label, Skeleton, Title } from "@patternfly/react-core";
import { useState } from "react";

import type { OpenSession } from "../../../shared/api/types";
import { formatTime } from "../../../shared/format";
import { Ago } from "../../../shared/ui/Ago";
import { ConfirmDialog } from "../../../shared/ui/ConfirmDialog";
import { ProblemAlert } from "../../../shared/ui/ProblemAlert";
import { useToasts } from "../../../shared/ui/toasts";
import { agentName } from "../account";
import { useEndSession, useSessions } from "../api/sessions";

/** The user's sessions, with a button to end each. */
export function Sessions() {
  const sessions = useSessions();
  return (
    <section className="sl-section" aria-label="Sessions">
      <Title headingLevel="h2" size="lg">
        Sessions
      </Title>
      <p className="sl-account__about sl-subtle">
        Where you're signed in. If you don't recognise one, end it and change your password.
      </p>
      {sessions.error && (
        <ProblemAlert
          title="Couldn't load the sessions"
          error={sessions.error}
          onRetry={() => void sessions.refetch()}
        />
      )}
      {sessions.isPending && <Skeleton height="4rem" screenreaderText="Loading" />}
      {sessions.data && (
        <ul className="sl-rows" aria-label="Sessions">
          {sessions.data.map((session) => (
            <li key={session.id} data-session={session.id}>
              <div className="sl-break">
                <div className="sl-rows__title">
                  <span title={session.agent}>{agentName(session.agent)}</span>{" "}
                  {session.current && (
                    <Label isCompact color="green">
                      This device
                    </Label>
                  )}
                </div>
                <div className="sl-subtle">
                  {session.address || "unknown address"} · signed in <Ago time={session.created} /> · active{" "}
                  <Ago time={session.used} /> · expires{" "}
                  <time dateTime={session.expires}>{formatTime(session.expires)}</time>
                </div>
              </div>
              {!session.current && <End session={session} />}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function End({ session }: { session: OpenSession }) {
  const [isAsked, setAsked] = useState(false);
  const end = useEndSession(session.id);
  const toasts = useToasts();
  const name = agentName(session.agent);
  // A promise, because the row may be unmounted before the response is handled.
  const confirm = async () => {
    try {
      await end.mutateAsync();
      toasts.success("Session ended");
    } catch {
      // The dialog shows why.
    }
  };
  return (
    <>
      <Button
        size="sm"
        variant="secondary"
        isDanger
        aria-label={`End session of ${name} from ${session.address}`}
        onClick={() => setAsked(true)}
      >
        End
      </Button>
      {isAsked && (
        <ConfirmDialog
          title={`End session of ${name}?`}
          action="End session"
          pending={end.isPending}
          error={end.error}
          onConfirm={() => void confirm()}
          onClose={() => {
            setAsked(false);
            end.reset();
          }}
        >
          Its consoles and screens are closed within seconds. Your nodes keep running.
        </ConfirmDialog>
      )}
    </>
  );
}

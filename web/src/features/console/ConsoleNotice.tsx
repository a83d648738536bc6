import { Button } from "@patternfly/react-core";
import type { ReactNode } from "react";

import { formatBytes } from "../../shared/format";
import type { ConsoleSession, ConsoleState } from "./session";

interface NoticeProps {
  state: ConsoleState;
  session: ConsoleSession;
  nodeName: string;
  whenOff: ReactNode;
}

/**
 * One line above the terminal that says why it does not answer, and what helps. Its buttons have keys: one must
 * not become the next one under the focus, for what is typed then would press it.
 */
export function ConsoleNotice({ state, session, nodeName, whenOff }: NoticeProps) {
  if (state.link === "reconnecting") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{state.problem || "The connection is lost."} It is tried again by itself.</span>
        <Button key="reconnect" size="sm" variant="secondary" onClick={session.reconnectNow}>
          Try now
        </Button>
      </div>
    );
  }
  if (state.guest === "reconnecting") {
    return (
      <div className="sl-console__notice" role="status">
        <span>The console of {nodeName} is being reconnected. You can type again in a moment.</span>
      </div>
    );
  }
  if (state.guest === "taken") {
    return (
      <div className="sl-console__notice" role="status">
        <span>Another program, such as virsh console, holds this console.</span>
        <Button key="take" size="sm" variant="secondary" onClick={() => session.take()}>
          Take over
        </Button>
      </div>
    );
  }
  if (state.guest === "offline") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{nodeName} is off. Its console comes to life here as soon as it runs.</span>
        {whenOff}
      </div>
    );
  }
  if (state.guest === "connected" && state.paused) {
    return (
      <div className="sl-console__notice" role="status">
        <span>{nodeName} is paused. Resume it to type.</span>
      </div>
    );
  }
  if (state.problem !== "") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{state.problem}</span>
      </div>
    );
  }
  if (state.takenBackBy !== "") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{state.takenBackBy} took the console back from another program.</span>
        <Button key="dismiss" size="sm" variant="link" onClick={() => session.forgetTaker()}>
          Dismiss
        </Button>
      </div>
    );
  }
  if (state.lostBytes > 0) {
    return (
      <div className="sl-console__notice" role="status">
        <span>Output came faster than this browser could take it: {formatBytes(state.lostBytes)} are left out.</span>
        <Button size="sm" variant="link" onClick={() => session.forgetLoss()}>
          Dismiss
        </Button>
      </div>
    );
  }
  return null;
}

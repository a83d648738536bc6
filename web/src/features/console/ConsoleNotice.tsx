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
 * One line above the terminal that says why it is not connected, and what to do. Its buttons have React keys:
 * otherwise React could reuse the focused button for the next notice, and typing would press it.
 */
export function ConsoleNotice({ state, session, nodeName, whenOff }: NoticeProps) {
  if (state.link === "reconnecting") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{state.problem || "Connection lost."} Reconnecting…</span>
        <Button key="reconnect" size="sm" variant="secondary" onClick={session.reconnectNow}>
          Reconnect now
        </Button>
      </div>
    );
  }
  if (state.guest === "reconnecting") {
    return (
      <div className="sl-console__notice" role="status">
        <span>Reconnecting to the console of {nodeName}. You can type again in a moment.</span>
      </div>
    );
  }
  if (state.guest === "taken") {
    return (
      <div className="sl-console__notice" role="status">
        <span>The console is in use by another program (for example virsh console).</span>
        <Button key="take" size="sm" variant="secondary" onClick={() => session.take()}>
          Take over
        </Button>
      </div>
    );
  }
  if (state.guest === "offline") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{nodeName} is stopped. The console will connect when it starts.</span>
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
        <span>{state.takenBackBy} took over the console.</span>
        <Button key="dismiss" size="sm" variant="link" onClick={() => session.forgetTaker()}>
          Dismiss
        </Button>
      </div>
    );
  }
  if (state.lostBytes > 0) {
    return (
      <div className="sl-console__notice" role="status">
        <span>Output was too fast; {formatBytes(state.lostBytes)} were skipped.</span>
        <Button size="sm" variant="link" onClick={() => session.forgetLoss()}>
          Dismiss
        </Button>
      </div>
    );
  }
  return null;
}

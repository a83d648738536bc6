import { Button, Tooltip } from "@patternfly/react-core";
import CompressIcon from "@patternfly/react-icons/dist/esm/icons/compress-icon";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import EraserIcon from "@patternfly/react-icons/dist/esm/icons/eraser-icon";
import ExpandIcon from "@patternfly/react-icons/dist/esm/icons/expand-icon";
import MinusIcon from "@patternfly/react-icons/dist/esm/icons/minus-icon";
import PasteIcon from "@patternfly/react-icons/dist/esm/icons/paste-icon";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import UniversalAccessIcon from "@patternfly/react-icons/dist/esm/icons/universal-access-icon";
import UsersIcon from "@patternfly/react-icons/dist/esm/icons/users-icon";
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";

import type { SerialPort } from "../../shared/api/types";
import { copyText } from "../../shared/clipboard";
import { formatBytes } from "../../shared/format";
import { useToasts } from "../../shared/ui/toasts";
import { ConsoleStatus } from "./ConsoleStatus";
import { KeyRow } from "./KeyRow";
import { PortChoice } from "./PortChoice";
import type { SpecialKey } from "./keys";
import { ConsoleSession, type ConsoleState, consoleURL } from "./session";
import { type ConsoleSettings, clampFontSize, loadSettings, saveSettings } from "./settings";
import { ConsoleTerminal } from "./terminal";

interface ConsolePaneProps {
  nodeID: string;
  nodeName: string;
  ports: readonly SerialPort[];
  /** The name of the port that is shown. */
  port: string;
  onPort: (port: string) => void;
  /** Offered while the node is off: a way to run it. */
  whenOff: ReactNode;
}

/**
 * A node's serial console with its toolbar, as large as the place it is put
 * in. Give it node and port as key: it stays with those it began with.
 */
export default function ConsolePane({ nodeID, nodeName, ports, port, onPort, whenOff }: ConsolePaneProps) {
  const [session] = useState(() => new ConsoleSession(consoleURL(location.origin, nodeID, port || undefined)));
  const state = useSyncExternalStore(session.subscribe, session.state);
  const [settings, setSettings] = useState(loadSettings);
  const [ctrlHeld, setCtrlHeld] = useState(false);
  const [isFull, setFull] = useState(false);
  const pane = useRef<HTMLDivElement>(null);
  const toolbar = useRef<HTMLDivElement>(null);
  const screen = useRef<HTMLDivElement>(null);
  const terminal = useRef<ConsoleTerminal>(null);
  const ctrl = useRef(false);
  const toasts = useToasts();

  const holdCtrl = (held: boolean) => {
    ctrl.current = held;
    setCtrlHeld(held);
  };

  useEffect(() => {
    const element = screen.current;
    if (!element) {
      return;
    }
    const shown = new ConsoleTerminal(element, session, {
      ...loadSettings(),
      onLeave: () => toolbar.current?.querySelector("button")?.focus(),
      takeCtrl: () => {
        const held = ctrl.current;
        ctrl.current = false;
        setCtrlHeld(false);
        return held;
      },
    });
    terminal.current = shown;
    session.open();
    shown.focus();
    return () => {
      session.close();
      shown.dispose();
      terminal.current = null;
    };
  }, [session]);

  useEffect(() => {
    // The button that brought it to life has left the page, and the focus with it.
    if (state.guest === "connected" && document.activeElement === document.body) {
      terminal.current?.focus();
    }
  }, [state.guest]);

  useEffect(() => {
    terminal.current?.setFontSize(settings.fontSize);
    terminal.current?.setScreenReader(settings.screenReader);
  }, [settings]);

  useEffect(() => {
    const follow = () => setFull(document.fullscreenElement === pane.current);
    document.addEventListener("fullscreenchange", follow);
    return () => document.removeEventListener("fullscreenchange", follow);
  }, []);

  const change = (next: ConsoleSettings) => {
    setSettings(next);
    saveSettings(next);
  };
  const resizeFont = (step: number) => change({ ...settings, fontSize: clampFontSize(settings.fontSize + step) });
  const copy = async () => {
    const text = terminal.current?.selection() ?? "";
    if (text === "") {
      toasts.failure("Nothing is copied", new Error("Select text in the console first."));
    } else if (await copyText(text)) {
      toasts.success("Copied");
    } else {
      toasts.failure("Nothing is copied", new Error("The browser refused. Use its own menu on the selected text."));
    }
    terminal.current?.focus();
  };
  const paste = async () => {
    try {
      terminal.current?.paste(await navigator.clipboard.readText());
    } catch {
      toasts.failure("Nothing is pasted", new Error("The browser refused. Press Ctrl+Shift+V in the console."));
    }
    terminal.current?.focus();
  };
  const toggleFull = async () => {
    await (isFull ? document.exitFullscreen() : pane.current?.requestFullscreen());
    terminal.current?.focus();
  };
  const press = (key: SpecialKey) => {
    terminal.current?.press(key);
    terminal.current?.focus();
  };

  return (
    <div className="sl-console" ref={pane}>
      <div className="sl-console__bar" ref={toolbar} role="toolbar" aria-label="Console">
        <ConsoleStatus state={state} />
        {state.viewers > 1 && (
          <span className="sl-console__viewers" title={`${state.viewers} viewers: all see the same console, and may type into it`}>
            <UsersIcon aria-hidden /> {state.viewers} <span className="pf-v6-screen-reader">viewers</span>
          </span>
        )}
        <PortChoice ports={ports} port={port} needs="available" onChange={onPort} />
        <span className="sl-console__gap" />
        <Tool label="Smaller text" icon={<MinusIcon />} onClick={() => resizeFont(-1)} />
        <Tool label="Larger text" icon={<PlusIcon />} onClick={() => resizeFont(1)} />
        <Tool label="Copy the selection" icon={<CopyIcon />} onClick={copy} />
        <Tool label="Paste" icon={<PasteIcon />} onClick={paste} />
        <Tool label="Clear" icon={<EraserIcon />} onClick={() => terminal.current?.clear()} />
        <Tool
          label="Screen reader support"
          icon={<UniversalAccessIcon />}
          pressed={settings.screenReader}
          onClick={() => change({ ...settings, screenReader: !settings.screenReader })}
        />
        {document.fullscreenEnabled && (
          <Tool
            label={isFull ? "Leave full screen" : "Full screen"}
            icon={isFull ? <CompressIcon /> : <ExpandIcon />}
            onClick={toggleFull}
          />
        )}
      </div>
      <Notice state={state} session={session} nodeName={nodeName} whenOff={whenOff} />
      <p id="console-help" className="pf-v6-screen-reader">
        Keys go to the console of {nodeName}. Ctrl+Shift+Up leaves it for the toolbar.
      </p>
      <div
        className="sl-console__screen"
        ref={screen}
        role="group"
        aria-label={`Console of ${nodeName}`}
        aria-describedby="console-help"
      />
      <KeyRow ctrlHeld={ctrlHeld} onCtrl={() => holdCtrl(!ctrlHeld)} onKey={press} />
    </div>
  );
}

interface NoticeProps {
  state: ConsoleState;
  session: ConsoleSession;
  nodeName: string;
  whenOff: ReactNode;
}

/** One line above the terminal that says why it does not answer, and what helps. */
function Notice({ state, session, nodeName, whenOff }: NoticeProps) {
  if (state.link === "reconnecting") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{state.problem || "The connection is lost."} It is tried again by itself.</span>
        <Button size="sm" variant="secondary" onClick={session.reconnectNow}>
          Try now
        </Button>
      </div>
    );
  }
  if (state.guest === "taken") {
    return (
      <div className="sl-console__notice" role="status">
        <span>Another program, such as virsh console, holds this console.</span>
        <Button size="sm" variant="secondary" onClick={() => session.take()}>
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
  if (state.problem !== "") {
    return (
      <div className="sl-console__notice" role="status">
        <span>{state.problem}</span>
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

interface ToolProps {
  label: string;
  icon: ReactNode;
  pressed?: boolean;
  onClick: () => void | Promise<void>;
}

function Tool({ label, icon, pressed, onClick }: ToolProps) {
  return (
    <Tooltip content={label} aria="none">
      <Button
        variant="plain"
        size="sm"
        icon={icon}
        aria-label={label}
        {...(pressed === undefined ? {} : { "aria-pressed": pressed, isClicked: pressed })}
        onClick={() => void onClick()}
      />
    </Tooltip>
  );
}

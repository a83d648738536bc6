import { Button, DropdownItem } from "@patternfly/react-core";
import CompressIcon from "@patternfly/react-icons/dist/esm/icons/compress-icon";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import ExpandArrowsAltIcon from "@patternfly/react-icons/dist/esm/icons/expand-arrows-alt-icon";
import ExpandIcon from "@patternfly/react-icons/dist/esm/icons/expand-icon";
import EyeIcon from "@patternfly/react-icons/dist/esm/icons/eye-icon";
import KeyboardIcon from "@patternfly/react-icons/dist/esm/icons/keyboard-icon";
import PasteIcon from "@patternfly/react-icons/dist/esm/icons/paste-icon";
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";

import { copyText } from "../../shared/clipboard";
import { Menu } from "../../shared/ui/Menu";
import { ToolButton } from "../../shared/ui/ToolButton";
import { useToasts } from "../../shared/ui/toasts";
import { PasteDialog } from "./PasteDialog";
import { type Modifier, ScreenKeys } from "./ScreenKeys";
import { ScreenStatus } from "./ScreenStatus";
import { combinations, keys } from "./keys";
import { RemoteScreen } from "./remote";
import { ScreenSession, type ScreenState, screenURL } from "./session";
import { loadSettings, saveSettings } from "./settings";

import "./screen.css";

interface ScreenPaneProps {
  nodeID: string;
  nodeName: string;
  /** Whether the node is running or paused, and so has a screen. */
  isRunning: boolean;
  /** Whether the user may type and click; otherwise the screen is view-only. */
  mayType: boolean;
  /** Shown while the node is stopped: a button that starts it. */
  whenOff: ReactNode;
  /** Additional buttons for the toolbar. */
  tools?: ReactNode;
}

/** The Keyboard Lock API, where browsers offer it: in full screen mode the page receives system keys. */
interface KeyboardLock {
  keyboard?: { lock?: () => Promise<void> };
}

const noModifier: ReadonlySet<Modifier> = new Set();

/**
 * A node's screen with its toolbar. It fills its container. Use the node's ID as its React key:
 * it stays with the node that it was mounted with.
 */
export default function ScreenPane({
  nodeID,
  nodeName,
  isRunning,
  mayType: isAllowed,
  whenOff,
  tools,
}: ScreenPaneProps) {
  const [session] = useState(() => {
    const made = new ScreenSession(screenURL(location.origin, nodeID));
    made.setRunning(isRunning);
    return made;
  });
  const state = useSyncExternalStore(session.subscribe, session.state);
  const [settings, setSettings] = useState(loadSettings);
  const [viewOnly, setViewOnly] = useState(!isAllowed);
  const [isFull, setFull] = useState(false);
  const [isPasting, setPasting] = useState(false);
  const [held, setHeld] = useState(noModifier);
  const [copied, setCopied] = useState("");
  const pane = useRef<HTMLDivElement>(null);
  const toolbar = useRef<HTMLDivElement>(null);
  const view = useRef<HTMLDivElement>(null);
  const remote = useRef<RemoteScreen>(null);
  // The initial settings of later connections.
  const wanted = useRef({ fit: settings.fit, viewOnly });
  const toasts = useToasts();

  useEffect(() => session.setRunning(isRunning), [session, isRunning]);

  useEffect(() => {
    const element = view.current;
    if (!element) {
      return;
    }
    session.open((socket, onShown) => {
      const screen = new RemoteScreen(element, socket, {
        ...wanted.current,
        label: `Screen of ${nodeName}`,
        describedBy: "screen-help",
        onShown: () => {
          onShown();
          if (document.activeElement === document.body) {
            screen.focus();
          }
        },
        onClipboard: setCopied,
        onLeave: () => toolbar.current?.querySelector("button")?.focus(),
      });
      remote.current = screen;
      return {
        close: () => {
          screen.close();
          setHeld(noModifier);
          if (remote.current === screen) {
            remote.current = null;
          }
        },
      };
    });
    return () => session.close();
  }, [session, nodeName]);

  useEffect(() => {
    wanted.current = { fit: settings.fit, viewOnly };
    remote.current?.setFit(settings.fit);
    remote.current?.setViewOnly(viewOnly);
    saveSettings(settings);
  }, [settings, viewOnly]);

  useEffect(() => {
    const follow = () => setFull(document.fullscreenElement === pane.current);
    document.addEventListener("fullscreenchange", follow);
    return () => document.removeEventListener("fullscreenchange", follow);
  }, []);

  const toggleFull = async () => {
    if (isFull) {
      await document.exitFullscreen();
    } else {
      await pane.current?.requestFullscreen();
      await (navigator as KeyboardLock).keyboard?.lock?.().catch(() => undefined); // optional
    }
    remote.current?.focus();
  };
  const hold = (modifier: Modifier) => {
    const next = new Set(held);
    const down = !next.delete(modifier);
    if (down) {
      next.add(modifier);
    }
    remote.current?.hold(keys[modifier], down);
    setHeld(next);
  };
  const copyFromGuest = async () => {
    if (await copyText(copied)) {
      toasts.success("Copied from the guest");
    } else {
      toasts.failure("Couldn't copy", new Error("The browser blocked access to the clipboard."));
    }
    remote.current?.focus();
  };
  const isOpen = state.link === "open";
  const mayType = isOpen && !viewOnly;

  return (
    <div className="sl-console sl-screen" ref={pane}>
      <div className="sl-console__bar" ref={toolbar} role="toolbar" aria-label="Screen">
        <ScreenStatus link={state.link} />
        <span className="sl-console__gap" />
        <Button
          size="sm"
          variant="secondary"
          className="sl-screen__reset"
          isDisabled={!mayType}
          onClick={() => {
            remote.current?.pressAll([keys.ctrl, keys.alt, keys.delete]);
            remote.current?.focus();
          }}
        >
          Ctrl+Alt+Del
        </Button>
        <Menu label="Special keys" icon={<KeyboardIcon />}>
          {combinations.map(({ name, keys: together }) => (
            <DropdownItem key={name} isDisabled={!mayType} onClick={() => remote.current?.pressAll(together)}>
              {name}
            </DropdownItem>
          ))}
        </Menu>
        <ToolButton label="Paste" icon={<PasteIcon />} isDisabled={!mayType} onClick={() => setPasting(true)} />
        {copied !== "" && <ToolButton label="Copy guest clipboard" icon={<CopyIcon />} onClick={copyFromGuest} />}
        <ToolButton
          label="View only"
          icon={<EyeIcon />}
          pressed={viewOnly}
          isDisabled={!isAllowed}
          onClick={() => setViewOnly(!viewOnly)}
        />
        <ToolButton
          label="Scale to fit"
          icon={<ExpandArrowsAltIcon />}
          pressed={settings.fit}
          onClick={() => setSettings({ fit: !settings.fit })}
        />
        {document.fullscreenEnabled && (
          <ToolButton
            label={isFull ? "Exit full screen" : "Full screen"}
            icon={isFull ? <CompressIcon /> : <ExpandIcon />}
            onClick={toggleFull}
          />
        )}
        {tools}
      </div>
      <Notice state={state} session={session} nodeName={nodeName} whenOff={whenOff} />
      <p id="screen-help" className="pf-v6-screen-reader">
        Keys go to the screen of {nodeName}. Ctrl+Shift+Up leaves it for the toolbar.
      </p>
      <div className="sl-console__screen sl-screen__view" ref={view} />
      {mayType && (
        <ScreenKeys
          held={held}
          onHold={hold}
          onKey={(key) => remote.current?.press(key)}
          onStroke={(stroke) => remote.current?.stroke(stroke)}
        />
      )}
      {isPasting && (
        <PasteDialog
          appendTo={() => (isFull ? pane.current : null) ?? document.body}
          onType={(strokes, stop) => remote.current?.type(strokes, stop) ?? Promise.resolve(false)}
          onClipboard={(text) => remote.current?.sendClipboard(text)}
          onClose={() => {
            setPasting(false);
            remote.current?.focus();
          }}
        />
      )}
    </div>
  );
}

interface NoticeProps {
  state: ScreenState;
  session: ScreenSession;
  nodeName: string;
  whenOff: ReactNode;
}

/** One line above the screen that says why it is not connected, and what to do. */
function Notice({ state, session, nodeName, whenOff }: NoticeProps) {
  switch (state.link) {
    case "reconnecting":
      return (
        <div className="sl-console__notice" role="status">
          <span>{state.problem || "Connection lost."} Reconnecting…</span>
          <TryNow session={session} />
        </div>
      );
    case "refused":
      return (
        <div className="sl-console__notice" role="status">
          <span>{state.problem || "The node has no display."}</span>
          <TryNow session={session} />
        </div>
      );
    case "off":
      return (
        <div className="sl-console__notice" role="status">
          <span>{nodeName} is stopped. The screen will connect when it starts.</span>
          {whenOff}
        </div>
      );
    default:
      return null;
  }
}

function TryNow({ session }: { session: ScreenSession }) {
  return (
    <Button size="sm" variant="secondary" onClick={session.reconnectNow}>
      Reconnect now
    </Button>
  );
}

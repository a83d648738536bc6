import { DropdownGroup, DropdownItem } from "@patternfly/react-core";
import CompressIcon from "@patternfly/react-icons/dist/esm/icons/compress-icon";
import CopyIcon from "@patternfly/react-icons/dist/esm/icons/copy-icon";
import EllipsisVIcon from "@patternfly/react-icons/dist/esm/icons/ellipsis-v-icon";
import ExpandIcon from "@patternfly/react-icons/dist/esm/icons/expand-icon";
import EyeIcon from "@patternfly/react-icons/dist/esm/icons/eye-icon";
import MinusIcon from "@patternfly/react-icons/dist/esm/icons/minus-icon";
import PasteIcon from "@patternfly/react-icons/dist/esm/icons/paste-icon";
import PlusIcon from "@patternfly/react-icons/dist/esm/icons/plus-icon";
import SearchIcon from "@patternfly/react-icons/dist/esm/icons/search-icon";
import UsersIcon from "@patternfly/react-icons/dist/esm/icons/users-icon";
import { type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";

import type { SerialPort } from "../../shared/api/types";
import { copyText } from "../../shared/clipboard";
import { Menu } from "../../shared/ui/Menu";
import { ToolButton } from "../../shared/ui/ToolButton";
import { useToasts } from "../../shared/ui/toasts";
import { ConsoleNotice } from "./ConsoleNotice";
import { ConsoleSearch } from "./ConsoleSearch";
import { ConsoleStatus } from "./ConsoleStatus";
import { KeyRow } from "./KeyRow";
import { PortChoice } from "./PortChoice";
import { logDownloadURL } from "./api/readLog";
import type { SpecialKey } from "./keys";
import { ConsoleSession, consoleURL } from "./session";
import { type ConsoleSettings, clampFontSize, loadSettings, saveSettings, themeNames } from "./settings";
import { ConsoleTerminal } from "./terminal";
import { themes } from "./themes";

interface ConsolePaneProps {
  nodeID: string;
  nodeName: string;
  ports: readonly SerialPort[];
  /** The name of the port. */
  port: string;
  onPort: (port: string) => void;
  /** Whether the user may type; otherwise the console is view-only. */
  mayType: boolean;
  /** Shown while the node is stopped: a button that starts it. */
  whenOff: ReactNode;
  /** Additional buttons for the toolbar. */
  tools?: ReactNode;
}

/**
 * A node's serial console with its toolbar. It fills its container. Use node and port as its
 * React key: it stays with those that it was mounted with.
 */
export default function ConsolePane({
  nodeID,
  nodeName,
  ports,
  port,
  onPort,
  mayType,
  whenOff,
  tools,
}: ConsolePaneProps) {
  const [session] = useState(() => {
    const made = new ConsoleSession(consoleURL(location.origin, nodeID, port || undefined));
    made.setReadOnly(!mayType);
    return made;
  });
  const state = useSyncExternalStore(session.subscribe, session.state);
  const [settings, setSettings] = useState(loadSettings);
  const [isReadOnly, setReadOnly] = useState(!mayType);
  const [isSearching, setSearching] = useState(false);
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
      onSearch: () => setSearching(true),
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
    // The button that started the node has left the page, and the focus with it.
    if (state.guest === "connected" && document.activeElement === document.body) {
      terminal.current?.focus();
    }
  }, [state.guest]);

  useEffect(() => {
    terminal.current?.setFontSize(settings.fontSize);
    terminal.current?.setScreenReader(settings.screenReader);
    terminal.current?.setTheme(settings.theme);
  }, [settings]);

  useEffect(() => session.setReadOnly(isReadOnly), [session, isReadOnly]);

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
      toasts.failure("Couldn't copy", new Error("Select text to copy."));
    } else if (await copyText(text)) {
      toasts.success("Copied");
    } else {
      toasts.failure("Couldn't copy", new Error("Use the browser's menu on the selected text."));
    }
    terminal.current?.focus();
  };
  const paste = async () => {
    try {
      terminal.current?.paste(await navigator.clipboard.readText());
    } catch {
      toasts.failure("Couldn't paste", new Error("Press Ctrl+Shift+V in the console."));
    }
    terminal.current?.focus();
  };
  const toggleFull = async () => {
    await (isFull ? document.exitFullscreen() : pane.current?.requestFullscreen());
    terminal.current?.focus();
  };
  const endSearch = () => {
    setSearching(false);
    terminal.current?.endSearch();
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
          <span className="sl-console__viewers" title={`${state.viewers} viewers share this console`}>
            <UsersIcon aria-hidden /> {state.viewers} <span className="pf-v6-screen-reader">viewers</span>
          </span>
        )}
        <PortChoice ports={ports} port={port} needs="available" onChange={onPort} />
        <span className="sl-console__gap" />
        <ToolButton label="Smaller text" icon={<MinusIcon />} onClick={() => resizeFont(-1)} />
        <ToolButton label="Larger text" icon={<PlusIcon />} onClick={() => resizeFont(1)} />
        <ToolButton label="Copy selection" icon={<CopyIcon />} onClick={copy} />
        <ToolButton label="Paste" icon={<PasteIcon />} isDisabled={isReadOnly} onClick={paste} />
        <ToolButton
          label="Search (Ctrl+Shift+F)"
          icon={<SearchIcon />}
          pressed={isSearching}
          onClick={() => (isSearching ? endSearch() : setSearching(true))}
        />
        <ToolButton
          label="Read only"
          icon={<EyeIcon />}
          pressed={isReadOnly}
          isDisabled={!mayType}
          onClick={() => setReadOnly(!isReadOnly)}
        />
        <Menu label="More" icon={<EllipsisVIcon />}>
          <DropdownItem onClick={() => terminal.current?.clear()}>Clear</DropdownItem>
          {ports.some(({ name, logged }) => name === port && logged) && (
            <DropdownItem to={logDownloadURL(nodeID, port)} download={`${nodeName}.log`}>
              Download log
            </DropdownItem>
          )}
          <DropdownItem
            isSelected={settings.screenReader}
            onClick={() => change({ ...settings, screenReader: !settings.screenReader })}
          >
            Screen reader support
          </DropdownItem>
          <DropdownGroup label="Colours">
            {themeNames.map((name) => (
              <DropdownItem
                key={name}
                isSelected={settings.theme === name}
                onClick={() => change({ ...settings, theme: name })}
              >
                {themes[name].name}
              </DropdownItem>
            ))}
          </DropdownGroup>
        </Menu>
        {document.fullscreenEnabled && (
          <ToolButton
            label={isFull ? "Exit full screen" : "Full screen"}
            icon={isFull ? <CompressIcon /> : <ExpandIcon />}
            onClick={toggleFull}
          />
        )}
        {tools}
      </div>
      {isSearching && (
        <ConsoleSearch
          onFind={(text, direction, isTyping) => terminal.current?.find(text, direction, isTyping) ?? false}
          onClose={endSearch}
        />
      )}
      <ConsoleNotice state={state} session={session} nodeName={nodeName} whenOff={whenOff} />
      <p id="console-help" className="pf-v6-screen-reader">
        Keys go to the console of {nodeName}. Ctrl+Shift+Up leaves it for the toolbar.
      </p>
      <div
        className="sl-console__screen"
        style={{ background: themes[settings.theme].palette.background }}
        ref={screen}
        role="group"
        aria-label={`Console of ${nodeName}`}
        aria-describedby="console-help"
      />
      {!isReadOnly && <KeyRow ctrlHeld={ctrlHeld} onCtrl={() => holdCtrl(!ctrlHeld)} onKey={press} />}
    </div>
  );
}

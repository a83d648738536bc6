import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Terminal } from "@xterm/xterm";
import "@xterm/xterm/css/xterm.css";

import { type SpecialKey, keySequence, withCtrl } from "./keys";
import type { ConsoleSession } from "./session";
import type { ThemeName } from "./settings";
import { themes } from "./themes";

const scrollback = 10_000; // lines

const marks = {
  matchBackground: "#8a6500",
  matchOverviewRuler: "#f2cc60",
  activeMatchBackground: "#1558b0",
  activeMatchColorOverviewRuler: "#79c0ff",
};

interface TerminalOptions {
  fontSize: number;
  screenReader: boolean;
  theme: ThemeName;
  /** Called when the user opens the search by keyboard (Ctrl+Shift+F). */
  onSearch: () => void;
  /** Called when the user leaves the terminal by keyboard (Ctrl+Shift+Up). */
  onLeave: () => void;
  /** Whether Ctrl is held by its button; called once per input. */
  takeCtrl: () => boolean;
}

/** A terminal in an element of the page that shows a session until dispose is called. */
export class ConsoleTerminal {
  private readonly terminal: Terminal;
  private readonly fit = new FitAddon();
  private readonly search = new SearchAddon();
  private readonly observer: ResizeObserver;
  private readonly detach: () => void;
  private readonly encoder = new TextEncoder();

  constructor(
    element: HTMLElement,
    private readonly session: ConsoleSession,
    options: TerminalOptions,
  ) {
    const terminal = new Terminal({
      fontFamily: `ui-monospace, "Cascadia Mono", "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace`,
      fontSize: options.fontSize,
      lineHeight: 1.15,
      scrollback,
      theme: themes[options.theme].palette,
      allowProposedApi: true, // needed to highlight search matches
      cursorBlink: true,
      screenReaderMode: options.screenReader,
      macOptionIsMeta: true,
      rightClickSelectsWord: false,
    });
    this.terminal = terminal;
    terminal.loadAddon(this.fit);
    terminal.loadAddon(this.search);
    terminal.open(element);
    this.holdAnswersBack();
    terminal.attachCustomKeyEventHandler((event) => {
      if (event.ctrlKey && event.shiftKey && event.key === "ArrowUp") {
        if (event.type === "keydown") {
          event.preventDefault();
          options.onLeave();
        }
        return false;
      }
      if (event.ctrlKey && event.shiftKey && event.code === "KeyF") {
        if (event.type === "keydown") {
          event.preventDefault();
          options.onSearch();
        }
        return false;
      }
      // The browser handles pasting.
      return !(event.ctrlKey && event.shiftKey && event.code === "KeyV");
    });
    terminal.onData((text) => session.type(this.encoder.encode(options.takeCtrl() ? withCtrl(text) : text)));
    terminal.onBinary((text) => session.type(Uint8Array.from(text, (character) => character.charCodeAt(0))));
    terminal.onResize(({ cols, rows }) => session.resize(cols, rows));
    this.detach = session.attach({
      write: (bytes) => terminal.write(bytes),
      reset: () => terminal.reset(),
    });
    this.observer = new ResizeObserver(() => this.fit.fit());
    this.observer.observe(element);
    this.fit.fit();
    session.resize(terminal.cols, terminal.rows);
  }

  focus(): void {
    this.terminal.focus();
  }

  setFontSize(pixels: number): void {
    this.terminal.options.fontSize = pixels;
    this.fit.fit();
  }

  setTheme(name: ThemeName): void {
    this.terminal.options.theme = themes[name].palette;
  }

  /** Scrolls to the next or previous match of a text; returns false if there is none. */
  find(text: string, direction: "next" | "previous", isTyping = false): boolean {
    if (direction === "previous") {
      return this.search.findPrevious(text, { decorations: marks });
    }
    return this.search.findNext(text, { decorations: marks, incremental: isTyping });
  }

  /** Clears the search. */
  endSearch(): void {
    this.search.clearDecorations();
    this.terminal.clearSelection();
  }

  setScreenReader(on: boolean): void {
    this.terminal.options.screenReaderMode = on;
  }

  /** The selected text; empty when nothing is selected. */
  selection(): string {
    return this.terminal.getSelection();
  }

  /** Inserts a text as if it were pasted. */
  paste(text: string): void {
    this.terminal.paste(text);
  }

  /** Clears screen and scrollback in the browser; the guest does not notice. */
  clear(): void {
    this.terminal.clear();
  }

  press(key: SpecialKey): void {
    const sequence = keySequence(key, this.terminal.modes.applicationCursorKeysMode);
    this.session.type(this.encoder.encode(sequence));
  }

  dispose(): void {
    this.observer.disconnect();
    this.detach();
    this.terminal.dispose();
  }

  /**
   * Drops the queries that a terminal answers automatically (cursor position, terminal type,
   * colours, modes) while the session must not answer.
   */
  private holdAnswersBack(): void {
    const { parser } = this.terminal;
    const swallow = () => !this.session.mayAnswer();
    for (const id of [
      { final: "n" },
      { prefix: "?", final: "n" },
      { final: "c" },
      { prefix: ">", final: "c" },
      { prefix: ">", final: "q" },
      { intermediates: "$", final: "p" },
      { prefix: "?", intermediates: "$", final: "p" },
    ]) {
      parser.registerCsiHandler(id, swallow);
    }
    parser.registerDcsHandler({ intermediates: "$", final: "q" }, swallow);
    for (const id of [4, 10, 11, 12]) {
      parser.registerOscHandler(id, (data) => data.includes("?") && swallow());
    }
  }
}

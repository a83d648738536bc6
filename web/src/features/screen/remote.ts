import RFB from "@novnc/novnc";

import { type Key, type Stroke, keys } from "./keys";

interface RemoteOptions {
  label: string;
  /** ID of the text that explains how to leave the screen. */
  describedBy: string;
  fit: boolean;
  viewOnly: boolean;
  onShown: () => void;
  /** The guest copied text. */
  onClipboard: (text: string) => void;
  /** The user leaves the screen by keyboard. */
  onLeave: () => void;
}

/** The delay between automatically typed keys: guests drop keys that come faster. */
const strokePause = 20;

/** A screen that noVNC draws in an element. */
export class RemoteScreen {
  private readonly rfb: RFB;
  private readonly ended = new AbortController();

  constructor(
    element: HTMLElement,
    socket: WebSocket,
    { label, describedBy, fit, viewOnly, onShown, onClipboard, onLeave }: RemoteOptions,
  ) {
    this.rfb = new RFB(element, socket, { shared: true });
    this.rfb.background = "transparent";
    this.rfb.scaleViewport = fit;
    this.rfb.viewOnly = viewOnly;
    this.rfb.addEventListener("connect", onShown);
    this.rfb.addEventListener("clipboard", ({ detail }) => onClipboard(detail.text));
    const canvas = element.querySelector("canvas");
    if (canvas) {
      canvas.tabIndex = 0;
      canvas.setAttribute("role", "application");
      canvas.setAttribute("aria-label", label);
      canvas.setAttribute("aria-describedby", describedBy);
    }
    // All other keys go to the guest, including Tab.
    element.addEventListener(
      "keydown",
      (event) => {
        if (event.ctrlKey && event.shiftKey && event.key === "ArrowUp") {
          event.preventDefault();
          event.stopPropagation();
          this.letGo();
          onLeave();
        }
      },
      { capture: true, signal: this.ended.signal },
    );
    // Otherwise the guest would not notice that pressed keys are released elsewhere.
    element.addEventListener("focusout", () => this.letGo(), { signal: this.ended.signal });
  }

  setFit(fit: boolean): void {
    this.rfb.scaleViewport = fit;
  }

  setViewOnly(viewOnly: boolean): void {
    this.rfb.viewOnly = viewOnly;
  }

  focus(): void {
    this.rfb.focus({ preventScroll: true });
  }

  press(key: Key): void {
    this.rfb.sendKey(key.keysym, key.code);
  }

  hold(key: Key, down: boolean): void {
    this.rfb.sendKey(key.keysym, key.code, down);
  }

  /** Presses keys at the same time. */
  pressAll(together: readonly Key[]): void {
    together.forEach((key) => this.hold(key, true));
    together.toReversed().forEach((key) => this.hold(key, false));
  }

  stroke({ shift, ...key }: Stroke): void {
    this.pressAll(shift ? [keys.shift, key] : [key]);
  }

  /** Types one key after the other; resolves with false if the screen was closed or stop was signalled first. */
  async type(strokes: readonly Stroke[], stop: AbortSignal): Promise<boolean> {
    for (const stroke of strokes) {
      if (this.ended.signal.aborted || stop.aborted) {
        return false;
      }
      this.stroke(stroke);
      await new Promise((resolve) => setTimeout(resolve, strokePause));
    }
    return true;
  }

  /** Sends text to the guest's clipboard, if the guest has an agent for that. */
  sendClipboard(text: string): void {
    this.rfb.clipboardPasteFrom(text);
  }

  close(): void {
    this.ended.abort();
    this.rfb.disconnect();
  }

  private letGo(): void {
    for (const side of ["Left", "Right"] as const) {
      const step = side === "Left" ? 0 : 1;
      this.rfb.sendKey(keys.shift.keysym + step, `Shift${side}`, false);
      this.rfb.sendKey(keys.ctrl.keysym + step, `Control${side}`, false);
      this.rfb.sendKey(keys.alt.keysym + step, `Alt${side}`, false);
      this.rfb.sendKey(keys.meta.keysym + step, `Meta${side}`, false);
    }
  }
}

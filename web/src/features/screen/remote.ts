import RFB from "@novnc/novnc";

import { type Key, type Stroke, keys } from "./keys";

interface RemoteOptions {
  label: string;
  /** Id of the text that tells how to leave the screen. */
  describedBy: string;
  fit: boolean;
  viewOnly: boolean;
  onShown: () => void;
  /** The guest copied text. */
  onClipboard: (text: string) => void;
  /** The user wants out of the screen, by the keyboard. */
  onLeave: () => void;
}

/** Between two keys that are typed by themselves: guests drop what comes faster. */
const strokePause = 20;

/** A screen, drawn in an element by noVNC. */
export class RemoteScreen {
  private readonly rfb: RFB;
  private readonly ended = new AbortController();

  constructor(element: HTMLElement, socket: WebSocket, { label, describedBy, fit, viewOnly, onShown, onClipboard, onLeave }: RemoteOptions) {
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
    // Every other key goes to the guest, Tab as well.
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
    // The guest would never learn that keys held now are let go elsewhere.
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

  /** Presses keys together. */
  pressAll(together: readonly Key[]): void {
    together.forEach((key) => this.hold(key, true));
    together.toReversed().forEach((key) => this.hold(key, false));
  }

  stroke({ shift, ...key }: Stroke): void {
    this.pressAll(shift ? [keys.shift, key] : [key]);
  }

  /** Types one key after the other; resolves with whether all were typed before the screen ended or stop did. */
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

  /** Puts text into the guest's clipboard, where it has an agent for that. */
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

/** The part of noVNC's API that is used here (see its docs/API.md); noVNC has no types. */
declare module "@novnc/novnc" {
  interface RFBEvents {
    connect: CustomEvent<object>;
    disconnect: CustomEvent<{ clean: boolean }>;
    clipboard: CustomEvent<{ text: string }>;
  }

  export default class RFB {
    constructor(target: HTMLElement, channel: WebSocket, options?: { shared?: boolean });
    background: string;
    focusOnClick: boolean;
    scaleViewport: boolean;
    viewOnly: boolean;
    addEventListener<K extends keyof RFBEvents>(type: K, listener: (event: RFBEvents[K]) => void): void;
    blur(): void;
    clipboardPasteFrom(text: string): void;
    disconnect(): void;
    focus(options?: FocusOptions): void;
    /** Without down the key is pressed and released. code is that of a KeyboardEvent. */
    sendKey(keysym: number, code: string, down?: boolean): void;
  }
}

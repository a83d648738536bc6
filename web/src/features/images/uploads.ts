import { useSyncExternalStore } from "react";

import { RequestError } from "../../shared/api/problem";
import type { Image } from "../../shared/api/types";
import { type ImageUpload, uploadImage } from "./api/uploadImage";
import { RateMeter } from "./rate";

/** One file on its way, or the outcome of it. */
export interface Upload {
  id: number;
  name: string;
  /** Bytes of the file, and of them those that were sent. */
  size: number;
  sent: number;
  /** Bytes per second. */
  rate: number;
  /** checking: all is sent, and the service looks into it. */
  state: "sending" | "checking" | "done" | "failed";
  image?: Image;
  error?: unknown;
}

/** Sends one file: uploadImage, or what stands for it in a test. */
export type Sender = (file: File, onProgress: (sent: number) => void) => ImageUpload;

/**
 * The uploads of this browser tab. They live outside the pages, so that going
 * to another page does not cut them off.
 */
export class Uploads {
  private uploads: readonly Upload[] = [];
  private running = new Map<number, ImageUpload>();
  private listeners = new Set<() => void>();
  private lastID = 0;

  constructor(
    private readonly send: Sender,
    private readonly now: () => number = () => performance.now(),
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  list = (): readonly Upload[] => this.uploads;

  /** Starts to send a file, and resolves with its image, or null when it failed or was cancelled. */
  async start(file: File): Promise<Image | null> {
    const id = ++this.lastID;
    const meter = new RateMeter();
    meter.note(this.now(), 0);
    this.put([...this.uploads, { id, name: file.name, size: file.size, sent: 0, rate: 0, state: "sending" }]);
    const upload = this.send(file, (sent) => {
      meter.note(this.now(), sent);
      this.update(id, { sent, rate: meter.rate(), state: sent >= file.size ? "checking" : "sending" });
    });
    this.running.set(id, upload);
    try {
      const image = await upload.finished;
      this.update(id, { state: "done", sent: file.size, image });
      return image;
    } catch (error) {
      if (error instanceof RequestError && error.code === "cancelled") {
        this.dismiss(id);
      } else {
        this.update(id, { state: "failed", error });
      }
      return null;
    } finally {
      this.running.delete(id);
    }
  }

  /** Stops sending a file; it leaves the list. */
  cancel(id: number): void {
    this.running.get(id)?.cancel();
  }

  /** Takes a finished or failed upload off the list. */
  dismiss(id: number): void {
    this.put(this.uploads.filter((upload) => upload.id !== id));
  }

  /** Whether leaving the page now would cut an upload off. */
  isBusy(): boolean {
    return this.running.size > 0;
  }

  private update(id: number, change: Partial<Upload>): void {
    this.put(this.uploads.map((upload) => (upload.id === id ? { ...upload, ...change } : upload)));
  }

  private put(uploads: readonly Upload[]): void {
    this.uploads = uploads;
    for (const listener of this.listeners) {
      listener();
    }
  }
}

/** The uploads of this tab. */
export const uploads = new Uploads(uploadImage);

window.addEventListener("beforeunload", (event) => {
  if (uploads.isBusy()) {
    event.preventDefault(); // the browser asks whether to leave
  }
});

export function useUploads(): readonly Upload[] {
  return useSyncExternalStore(uploads.subscribe, uploads.list);
}

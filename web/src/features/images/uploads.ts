import { useSyncExternalStore } from "react";

import { RequestError } from "../../shared/api/problem";
import type { Image } from "../../shared/api/types";
import { askBeforeLeaving } from "../../shared/startOver";
import { type ImageUpload, type UploadHandlers, uploadImage } from "./api/uploadImage";
import { RateMeter } from "./rate";

/** The upload of one file, or its outcome. */
export interface Upload {
  id: number;
  name: string;
  /** Size of the file, and how much of it was sent, in bytes. */
  size: number;
  sent: number;
  /** Bytes per second. */
  rate: number;
  /**
   * waiting: queued behind other uploads; interrupted: the connection is lost; checking: all
   * bytes are sent, and the service verifies the image.
   */
  state: "waiting" | "sending" | "interrupted" | "checking" | "done" | "failed";
  image?: Image;
  error?: unknown;
}

/** Uploads one file: uploadImage, or a replacement in tests. */
export type Sender = (file: File, on: UploadHandlers) => ImageUpload;

/** Maximum number of concurrent uploads: browsers open six connections per origin, and the pages need some of them. */
const atOnce = 3;

/**
 * The uploads of this browser tab. They live outside the pages, so that navigation does not
 * interrupt them.
 */
export class Uploads {
  private uploads: readonly Upload[] = [];
  private cancels = new Map<number, () => void>();
  private sending = new Set<number>();
  private queue: (() => void)[] = [];
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

  /** Uploads a file as soon as a slot is free. Resolves with its image, or null if it failed or was cancelled. */
  async start(file: File): Promise<Image | null> {
    const id = ++this.lastID;
    this.put([...this.uploads, { id, name: file.name, size: file.size, sent: 0, rate: 0, state: "waiting" }]);
    try {
      await this.place(id);
      const image = await this.run(id, file);
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
      this.cancels.delete(id);
      this.giveUpPlace(id);
    }
  }

  /** Cancels an upload and removes it from the list. */
  cancel(id: number): void {
    this.cancels.get(id)?.();
  }

  /** Removes a finished or failed upload from the list. */
  dismiss(id: number): void {
    this.put(this.uploads.filter((upload) => upload.id !== id));
  }

  /** Whether leaving the page now would interrupt an upload. */
  isBusy(): boolean {
    return this.uploads.some(({ state }) => state === "waiting" || state === "sending" || state === "interrupted");
  }

  private run(id: number, file: File): Promise<Image> {
    let meter = new RateMeter();
    meter.note(this.now(), 0);
    this.update(id, { state: "sending" });
    const upload = this.send(file, {
      onProgress: (sent) => {
        meter.note(this.now(), sent);
        const isSent = sent >= file.size;
        if (isSent) {
          this.giveUpPlace(id);
        }
        this.update(id, { sent, rate: meter.rate(), state: isSent ? "checking" : "sending" });
      },
      onInterrupted: () => {
        meter = new RateMeter(); // the pause must not count
        this.update(id, { state: "interrupted", rate: 0 });
      },
    });
    this.cancels.set(id, upload.cancel);
    return upload.finished;
  }

  /** Resolves when the upload may start. */
  private place(id: number): Promise<void> {
    if (this.sending.size < atOnce) {
      this.sending.add(id);
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const take = () => {
        this.sending.add(id);
        resolve();
      };
      this.queue.push(take);
      this.cancels.set(id, () => {
        this.queue = this.queue.filter((waiting) => waiting !== take);
        reject(new RequestError("The upload was cancelled.", "cancelled", 0));
      });
    });
  }

  private giveUpPlace(id: number): void {
    if (this.sending.delete(id)) {
      this.queue.shift()?.();
    }
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

askBeforeLeaving(() => uploads.isBusy());

export function useUploads(): readonly Upload[] {
  return useSyncExternalStore(uploads.subscribe, uploads.list);
}

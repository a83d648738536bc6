import { useSyncExternalStore } from "react";
import { atBase } from "../../shared/base";

/** An upload that this browser started and did not finish: it is running, or was interrupted by a reload. */
export interface StoredUpload {
  /** Path of the upload in the API. */
  url: string;
  name: string;
  /** Bytes. */
  size: number;
  /** Modification time of the file in milliseconds: another file must not be used to resume. */
  lastModified: number;
  /** Start time of the upload in milliseconds. */
  started: number;
}

/** The part of localStorage that is used; tests provide their own. */
export type TextStorage = Pick<Storage, "getItem" | "setItem">;

const key = "sandboxlabs-uploads";
/** The service deletes abandoned uploads sooner than that. */
const keptFor = 14 * 86_400_000; // milliseconds

/**
 * The uploads that the browser remembers. A page can't keep a file open over a reload, but it
 * can remember the upload's position: selecting the same file again resumes there.
 */
export class StoredUploads {
  private listeners = new Set<() => void>();
  private current: readonly StoredUpload[];

  constructor(
    private readonly storage: TextStorage,
    now: number,
  ) {
    this.current = read(storage).filter(({ started }) => started > now - keptFor);
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  list = (): readonly StoredUpload[] => this.current;

  /** Returns the upload that a file can resume. */
  find(file: Pick<File, "name" | "size" | "lastModified">): StoredUpload | undefined {
    return this.current.find(
      ({ name, size, lastModified }) => name === file.name && size === file.size && lastModified === file.lastModified,
    );
  }

  put(upload: StoredUpload): void {
    this.save([...this.current.filter(({ url }) => url !== upload.url), upload]);
  }

  remove(url: string): void {
    this.save(this.current.filter((upload) => upload.url !== url));
  }

  private save(uploads: readonly StoredUpload[]): void {
    this.current = uploads;
    try {
      this.storage.setItem(key, JSON.stringify(uploads));
    } catch {
      // Without storage, uploads can't be resumed after a reload; everything else works.
    }
    for (const listener of this.listeners) {
      listener();
    }
  }
}

function read(storage: TextStorage): StoredUpload[] {
  try {
    const value: unknown = JSON.parse(storage.getItem(key) ?? "[]");
    return Array.isArray(value) ? value.filter(isStored) : [];
  } catch {
    return [];
  }
}

function isStored(value: unknown): value is StoredUpload {
  const upload = value as Partial<StoredUpload> | null;
  return (
    typeof upload?.url === "string" &&
    upload.url.startsWith(atBase("/api/uploads/")) &&
    typeof upload.name === "string" &&
    typeof upload.size === "number" &&
    typeof upload.lastModified === "number" &&
    typeof upload.started === "number"
  );
}

/** The uploads of this browser. */
export const storedUploads = new StoredUploads(localStorage, Date.now());

export function useStoredUploads(): readonly StoredUpload[] {
  return useSyncExternalStore(storedUploads.subscribe, storedUploads.list);
}

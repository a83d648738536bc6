import { useSyncExternalStore } from "react";
import { atBase } from "../../shared/base";

/** An upload that this browser began and did not end: after a reload, or while it is under way. */
export interface StoredUpload {
  /** Path of the upload in the API. */
  url: string;
  name: string;
  /** Bytes. */
  size: number;
  /** When the file was changed last, in milliseconds: another file must not go on in its place. */
  lastModified: number;
  /** When the upload began, in milliseconds. */
  started: number;
}

/** What of localStorage is used; a test has another one. */
export type TextStorage = Pick<Storage, "getItem" | "setItem">;

const key = "sandboxlabs-uploads";
/** The service forgets uploads that nobody goes on with sooner than that. */
const keptFor = 14 * 86_400_000; // milliseconds

/**
 * The uploads that the browser remembers. A page cannot keep a file's content
 * over a reload, but where it was: whoever gives the same file again goes on there.
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

  /** The upload that a file goes on with. */
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
      // Without storage, uploads do not survive a reload; all else works.
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

/** The uploads that this browser remembers. */
export const storedUploads = new StoredUploads(localStorage, Date.now());

export function useStoredUploads(): readonly StoredUpload[] {
  return useSyncExternalStore(storedUploads.subscribe, storedUploads.list);
}

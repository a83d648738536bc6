import { atBase } from "../../../shared/base";
import { api, bodyOf } from "../../../shared/api/client";
import { RequestError, requestError, unreachableError } from "../../../shared/api/problem";
import type { Image } from "../../../shared/api/types";
import { changeLog } from "../../../shared/live/changes";
import { storedUploads } from "../interrupted";

/** A running upload. */
export interface ImageUpload {
  /** Resolves with the verified image, or rejects with a RequestError; its code is "cancelled" after cancel. */
  finished: Promise<Image>;
  cancel: () => void;
}

/** The progress callbacks of an upload. */
export interface UploadHandlers {
  /** Bytes of the file that were sent, or that the service already has. */
  onProgress: (sent: number) => void;
  /** The network or the service is unavailable; the upload is retried until it is back. */
  onInterrupted: () => void;
}

const tus = { "Tus-Resumable": "1.0.0" };
/** The bytes that the service checks first: a file that it does not support is rejected early. */
const headBytes = 64 * 1024;
const retryDelays = [0, 500, 1_000, 2_000, ...Array<number>(1_000).fill(4_000)]; // milliseconds; over an hour

/** Uploads a file as a custom image. An upload that was started in this browser is resumed. */
export function uploadImage(file: File, on: UploadHandlers): ImageUpload {
  const stop = new AbortController();
  return {
    finished: run(file, on, stop.signal).catch((error: unknown) => {
      throw stop.signal.aborted ? new RequestError("The upload was cancelled.", "cancelled", 0) : error;
    }),
    cancel: () => stop.abort(),
  };
}

async function run(file: File, on: UploadHandlers, signal: AbortSignal): Promise<Image> {
  const known = storedUploads.find(file);
  const url = known && (await offsetOf(known.url)) !== null ? known.url : await begin(file, signal);
  if (known && known.url !== url) {
    storedUploads.remove(known.url);
  }
  storedUploads.put({ url, name: file.name, size: file.size, lastModified: file.lastModified, started: Date.now() });
  try {
    await send(file, url, on, signal);
  } catch (error) {
    if (signal.aborted) {
      await discardUpload(url);
    } else if (error instanceof RequestError && error.status >= 400 && error.status < 500 && error.status !== 401) {
      storedUploads.remove(url); // it was rejected: nothing can be resumed
    }
    throw error;
  }
  storedUploads.remove(url);
  return settledImage(decodeURIComponent(url.split("/").at(-1) ?? ""));
}

/** Creates an upload with the first bytes of the file and resolves with its path. */
async function begin(file: File, signal: AbortSignal): Promise<string> {
  const answer = await fetchAPI(atBase("/api/uploads"), {
    method: "POST",
    headers: {
      ...tus,
      "Content-Type": "application/offset+octet-stream",
      "Upload-Length": String(file.size),
      "Upload-Metadata": `filename ${base64(file.name)}`,
    },
    body: file.slice(0, headBytes),
    signal,
  });
  return answer.headers.get("Location") ?? "";
}

/** Resolves with the number of bytes that the service has of an upload; null if the upload does not exist. */
export async function offsetOf(url: string): Promise<number | null> {
  try {
    const answer = await fetchAPI(url, { method: "HEAD", headers: tus });
    return Number(answer.headers.get("Upload-Offset"));
  } catch (error) {
    if (error instanceof RequestError && (error.status === 404 || error.status === 410)) {
      return null;
    }
    throw error;
  }
}

/** Deletes an upload from the service and from this browser. */
export async function discardUpload(url: string): Promise<void> {
  try {
    await fetchAPI(url, { method: "DELETE", headers: tus });
  } catch (error) {
    if (!(error instanceof RequestError && error.status === 404)) {
      throw error;
    }
  }
  storedUploads.remove(url);
}

/** Sends the part of a file that the service does not have yet. */
async function send(file: File, url: string, on: UploadHandlers, signal: AbortSignal): Promise<void> {
  const { Upload, DetailedError } = await import("tus-js-client");
  let isInterrupted = false;
  const statusOf = (error: Error) => (error instanceof DetailedError ? (error.originalResponse?.getStatus() ?? 0) : 0);
  await new Promise<void>((resolve, reject) => {
    const upload = new Upload(file, {
      uploadUrl: url,
      retryDelays,
      storeFingerprintForResuming: false, // storedUploads does, by file name, size and date
      onProgress: (sent) => {
        isInterrupted = false;
        on.onProgress(sent);
      },
      onShouldRetry: (error) => {
        const status = statusOf(error);
        // 409 and 423: another request for the upload is still running.
        const isPassing = status === 0 || status === 409 || status === 423 || status >= 500;
        if (isPassing) {
          isInterrupted = true;
          on.onInterrupted();
        }
        return isPassing;
      },
      onError: (error) => {
        const body = error instanceof DetailedError ? parse(error.originalResponse?.getBody() ?? "") : null;
        const status = statusOf(error);
        fail(status === 0 ? unreachableError() : requestError(status, body));
      },
      onSuccess: () => {
        forget();
        resolve();
      },
    });
    const goOn = () => {
      if (isInterrupted) {
        void upload.abort().then(() => upload.start());
      }
    };
    const cancel = () => {
      void upload.abort();
      fail(new RequestError("The upload was cancelled.", "cancelled", 0));
    };
    const forget = () => {
      window.removeEventListener("online", goOn);
      signal.removeEventListener("abort", cancel);
    };
    const fail = (error: RequestError) => {
      forget();
      reject(error);
    };
    if (signal.aborted) {
      cancel();
      return;
    }
    window.addEventListener("online", goOn);
    signal.addEventListener("abort", cancel);
    upload.start();
  });
}

/** Resolves with an image once the service has verified it. */
async function settledImage(id: string): Promise<Image> {
  return new Promise<Image>((resolve, reject) => {
    const take = (image: Image) => {
      if (image.state !== "verifying" && image.state !== "uploading") {
        unsubscribe();
        resolve(image);
      }
    };
    const read = () => {
      bodyOf(api.GET("/api/images/{id}", { params: { path: { id } } })).then(take, (error: unknown) => {
        // While the service is unavailable, so is the feed: ask again when it is back.
        if (!(error instanceof RequestError && (error.status === 0 || error.status >= 500))) {
          unsubscribe();
          reject(error instanceof Error ? error : unreachableError());
        }
      });
    };
    const unsubscribe = changeLog.subscribe((change) => {
      if (change === "reset") {
        read();
      } else if (change.type === "image.changed" && change.image.id === id) {
        take(change.image);
      } else if (change.type === "image.removed" && change.id === id) {
        unsubscribe();
        reject(new RequestError("The image was deleted before it was verified.", "image_not_found", 404));
      }
    });
    read();
  });
}

async function fetchAPI(url: string, init: RequestInit): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(url, { credentials: "same-origin", ...init });
  } catch {
    throw unreachableError();
  }
  if (!answer.ok) {
    throw requestError(answer.status, parse(await answer.text()));
  }
  return answer;
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

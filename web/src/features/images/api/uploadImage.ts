import { RequestError, requestError, unreachableError } from "../../../shared/api/problem";
import type { Image } from "../../../shared/api/types";

/** An upload under way. */
export interface ImageUpload {
  /** Resolves with the image, and rejects with a RequestError; code "cancelled" after cancel. */
  finished: Promise<Image>;
  cancel: () => void;
}

/**
 * Sends a file as a custom image. It uses XMLHttpRequest, because fetch tells
 * nothing of the progress of what is sent. onProgress gets bytes of the file
 * that were handed to the network.
 */
export function uploadImage(file: File, onProgress: (sent: number) => void): ImageUpload {
  const request = new XMLHttpRequest();
  const finished = new Promise<Image>((resolve, reject) => {
    request.upload.onprogress = ({ loaded }) => onProgress(Math.min(loaded, file.size));
    request.onload = () => {
      const body = parse(request.responseText);
      const image = request.status < 300 ? imageIn(body) : null;
      if (image) {
        resolve(image);
      } else {
        reject(requestError(request.status, body));
      }
    };
    request.onerror = () => reject(unreachableError());
    request.onabort = () => reject(new RequestError("The upload was cancelled.", "cancelled", 0));
  });
  const form = new FormData();
  form.append("image", file, file.name);
  request.open("POST", "/api/images/custom");
  request.setRequestHeader("Accept", "application/json");
  request.send(form);
  return { finished, cancel: () => request.abort() };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function imageIn(body: unknown): Image | null {
  return typeof body === "object" && body !== null && "image" in body ? (body.image as Image) : null;
}

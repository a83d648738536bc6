import { RequestError } from "../../shared/api/problem";

type Ask = () => Promise<boolean>;

let ask: Ask | undefined;

/** Registers `next` to ask the user for the password when the service requires it; returns a function that unregisters it. */
export function askBy(next: Ask): () => void {
  ask = next;
  return () => {
    if (ask === next) {
      ask = undefined;
    }
  };
}

/** Whether a request failed because the user did not confirm their identity. */
export function isConfirmationRefused(error: unknown): boolean {
  return error instanceof RequestError && error.code === "confirmation_required";
}

/** Makes a request; if the service requires it, repeats the request after the user has confirmed their identity. */
export async function confirming<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    if (!isConfirmationRefused(error) || ask === undefined || !(await ask())) {
      throw error;
    }
    return request();
  }
}

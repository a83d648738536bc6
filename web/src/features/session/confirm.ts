import { RequestError } from "../../shared/api/problem";

type Ask = () => Promise<boolean>;

let ask: Ask | undefined;

/** Has `next` ask the user for the password whenever the service wants it; returns how to stop that. */
export function askBy(next: Ask): () => void {
  ask = next;
  return () => {
    if (ask === next) {
      ask = undefined;
    }
  };
}

/** Whether a request failed because the user did not confirm who they are. */
export function isConfirmationRefused(error: unknown): boolean {
  return error instanceof RequestError && error.code === "confirmation_required";
}

/** Makes a request, and once more after the user has confirmed who they are, where the service asks for that. */
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

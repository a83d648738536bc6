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

/** Makes a request, and once more after the user has confirmed who they are, where the service asks for that. */
export async function confirming<T>(request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    const isAsked = error instanceof RequestError && error.code === "confirmation_required";
    if (!isAsked || ask === undefined || !(await ask())) {
      throw error;
    }
    return request();
  }
}

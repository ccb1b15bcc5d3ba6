import { ServerError } from "../api/client";

const SAID: Record<string, string> = {
  not_found: "Not here.",
  forbidden: "You may not do this.",
  unauthenticated: "The server does not know you.",
  refused: "Refused.",
  conflict: "That clashes with what is there.",
};

/** What kind of trouble it is, before the server's own words. */
export function kindOf(error: Error): string {
  return (error instanceof ServerError && SAID[error.code]) || "That did not work.";
}

/** Whether trying again may help: what the server refused it will refuse again. */
export function mayPass(error: Error): boolean {
  return !(error instanceof ServerError && error.status >= 400 && error.status < 500);
}

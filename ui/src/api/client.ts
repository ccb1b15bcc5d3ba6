import type { components, paths } from "./openapi";

export type Schemas = components["schemas"];

/** An error as the server says it: a stable code, and a message that names what to do next. */
export class ServerError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

type Readable = { [P in keyof paths]: paths[P] extends { get: { responses: { 200: unknown } } } ? P : never }[keyof paths];
type Get<P extends Readable> = paths[P] extends { get: infer G } ? G : never;
type Part<G, K extends string> = G extends { parameters: infer P }
  ? K extends keyof P
    ? undefined extends P[K]
      ? NonNullable<P[K]>
      : P[K]
    : never
  : never;
type Given<T> = [T] extends [never] ? unknown : T;

export type ReadPath = Readable;
export type ReadParameters<P extends Readable> = Given<Part<Get<P>, "path">> & Given<Part<Get<P>, "query">>;
export type Answer<P extends Readable> = Get<P> extends { responses: { 200: { content: { "application/json": infer R } } } } ? R : never;

/** Path parameters go into the path, all others into the query; what is undefined is left out. */
export function addressOf(path: string, parameters: Record<string, unknown>): string {
  const query = new URLSearchParams();
  const used = new Set<string>();
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    used.add(name);
    return encodeURIComponent(String(parameters[name]));
  });
  for (const [name, value] of Object.entries(parameters)) {
    if (used.has(name) || value === undefined || value === null) continue;
    query.append(name, Array.isArray(value) ? JSON.stringify(value) : String(value));
  }
  return query.size ? `${filled}?${query}` : filled;
}

export async function read<P extends Readable>(path: P, parameters: ReadParameters<P>, signal?: AbortSignal): Promise<Answer<P>> {
  return (await request(addressOf(path, parameters as Record<string, unknown>), { signal })) as Answer<P>;
}

/** Send a change. The key makes a repeated send one effect. */
export async function send(method: "POST" | "PUT", path: string, parameters: Record<string, unknown>, body: unknown): Promise<unknown> {
  const headers = { "content-type": "application/json", "idempotency-key": crypto.randomUUID() };
  return request(addressOf(path, parameters), { method, headers, body: JSON.stringify(body) });
}

async function request(address: string, init: RequestInit): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(address, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ServerError("unreachable", "The server does not answer. Is `clew up` still running? This page tries again by itself.", 0);
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok) return body;
  const told = (body as { error?: { code: string; message: string } } | null)?.error;
  throw new ServerError(told?.code ?? "unknown", told?.message ?? `The server answered ${response.status} at ${address}.`, response.status);
}

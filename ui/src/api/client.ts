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

export type Method = "POST" | "PUT" | "DELETE";
type Verb<M extends Method> = Lowercase<M>;
export type Writable<M extends Method> = {
  [P in keyof paths]: paths[P] extends { [V in Verb<M>]: { responses: unknown } } ? P : never;
}[keyof paths];
type Change<M extends Method, P extends Writable<M>> = paths[P] extends { [V in Verb<M>]: infer C } ? C : never;
export type WriteParameters<M extends Method, P extends Writable<M>> = Change<M, P> extends { parameters: { path: infer T } } ? T : never;
export type Body<M extends Method, P extends Writable<M>> =
  Change<M, P> extends { requestBody: { content: { "application/json": infer B } } }
    ? B
    : Change<M, P> extends { requestBody?: { content: { "application/json": infer B } } }
      ? B | undefined
      : undefined;
export type Effect<M extends Method, P extends Writable<M>> =
  Change<M, P> extends { responses: { 200: { content: { "application/json": infer R } } } } ? R : null;

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

/** Send a change. The server keeps its answer under the key: sent again with the same key, it is one effect. */
export async function write<M extends Method, P extends Writable<M>>(
  method: M,
  path: P,
  parameters: WriteParameters<M, P>,
  body: Body<M, P>,
  key: string,
): Promise<Effect<M, P>> {
  const headers = { "content-type": "application/json", "idempotency-key": key };
  const address = addressOf(path, parameters as Record<string, unknown>);
  return (await request(address, { method, headers, body: JSON.stringify(body ?? {}) })) as Effect<M, P>;
}

/** `crypto.randomUUID` is not there on plain http from another machine; random bytes are. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
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

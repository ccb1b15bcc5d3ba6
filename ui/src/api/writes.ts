import { useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { type Body, type Effect, type Method, newKey, type Writable, type WriteParameters, write } from "./client";

/** Keys for changes: the same change tried again keeps its key until it has worked, another one gets a new key. */
export function keeper(make: () => string = newKey) {
  let kept: { said: string; key: string } | null = null;
  return {
    keyOf(...said: unknown[]): string {
      const text = JSON.stringify(said);
      if (kept?.said !== text) kept = { said: text, key: make() };
      return kept.key;
    },
    done() {
      kept = null;
    },
  };
}

/** One change of the API. What is on screen is read again once it has worked. */
export function useWrite<M extends Method, P extends Writable<M>>(method: M, path: P) {
  const client = useQueryClient();
  const keys = useRef(keeper());
  return async (parameters: WriteParameters<M, P>, body: Body<M, P>): Promise<Effect<M, P>> => {
    const effect = await write(method, path, parameters, body, keys.current.keyOf(parameters, body));
    keys.current.done();
    void client.invalidateQueries({ predicate: (query) => query.meta?.fixed !== true });
    return effect;
  };
}

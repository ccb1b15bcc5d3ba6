import { keepPreviousData, type UseQueryResult, useQuery } from "@tanstack/react-query";
import { type Answer, type ReadParameters, type ReadPath, read, ServerError } from "./client";

interface Options {
  enabled?: boolean;
  /** What is read never changes (a version's rows, a predecessor's lineage): live events don't fetch it again. */
  fixed?: boolean;
}

/** One read of the API, kept, and fetched again when the server says that something changed. */
export function useRead<P extends ReadPath>(
  path: P,
  parameters: ReadParameters<P>,
  options: Options = {},
): UseQueryResult<Answer<P>, Error> {
  return useQuery({
    queryKey: [path, parameters],
    queryFn: ({ signal }) => read(path, parameters, signal),
    enabled: options.enabled ?? true,
    staleTime: options.fixed ? Number.POSITIVE_INFINITY : 2_000,
    meta: { fixed: options.fixed ?? false },
    placeholderData: keepPreviousData,
    retry: (count, error) => !(error instanceof ServerError && error.status >= 400 && error.status < 500) && count < 3,
  });
}

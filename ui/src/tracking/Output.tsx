import { useInfiniteQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { read } from "../api/client";
import { Panel } from "../design/Panel";
import { Empty, Trouble, Waiting } from "../design/States";
import { useProject } from "../shell/root";

/** All that a run printed. A running one is read on, and stays at its end unless the reader has scrolled up. */
export function Output({ runId, running }: { runId: string; running: boolean }) {
  const project = useProject();
  const query = useInfiniteQuery({
    queryKey: ["output", project, runId],
    queryFn: ({ pageParam, signal }) =>
      read("/api/v1/projects/{project}/runs/{run_id}/log", { project, run_id: runId, after: pageParam, limit: 1000 }, signal),
    initialPageParam: 0,
    getNextPageParam: (last) => (last.pieces.length === 1000 ? last.next_after : undefined),
  });
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = query;
  useEffect(() => {
    if (hasNextPage && !isFetchingNextPage) void fetchNextPage();
  }, [hasNextPage, isFetchingNextPage, fetchNextPage]);
  const place = useRef<HTMLPreElement>(null);
  const atEnd = useRef(true);
  const pieces = query.data?.pages.flatMap((page) => page.pieces) ?? [];
  // biome-ignore lint/correctness/useExhaustiveDependencies: more output moves the end
  useEffect(() => {
    if (atEnd.current && running) place.current?.scrollTo({ top: place.current.scrollHeight });
  }, [pieces.length, running]);
  if (query.error && !query.data) return <Trouble error={query.error} />;
  if (!query.data) return <Waiting for="the output" />;
  if (!pieces.length)
    return (
      <Empty title={running ? "Nothing printed yet" : "It printed nothing"}>
        Everything that goes to stdout and stderr stands here, through a crash too.
      </Empty>
    );
  return (
    <Panel title="Output" said={running ? "live" : undefined} aside={hasNextPage ? "reading on…" : undefined} flush>
      <pre
        className="text output"
        ref={place}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls can be reached with the keyboard
        tabIndex={0}
        onScroll={(event) => {
          const { scrollTop, scrollHeight, clientHeight } = event.currentTarget;
          atEnd.current = scrollHeight - scrollTop - clientHeight < 30;
        }}
      >
        {pieces.map((piece, index) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: pieces only ever come at the end
          <span key={index} className={piece.stream}>
            {piece.text}
          </span>
        ))}
      </pre>
    </Panel>
  );
}

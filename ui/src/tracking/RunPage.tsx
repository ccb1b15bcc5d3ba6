import { createRoute, Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { RunLink } from "../catalog/links";
import { ago, bytes, count, duration, figure, moment, plain, seconds } from "../design/format";
import { Facts, Heading, Panel } from "../design/Panel";
import { Pill, RunStatus } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { Tabs } from "../design/Tabs";
import { projectRoute, useProject } from "../shell/root";
import { Code } from "./Code";
import { Curves, CurveTools } from "./Curves";
import { type Axis, curveNames, type RunCurves } from "./curves";
import { Output } from "./Output";
import { Standing } from "./Standing";
import "./tracking.css";

type Details = Schemas["RunDetails"];

interface RunSearch {
  tab?: string;
  axis?: Axis;
  smoothing?: number;
  file?: string;
  /** The function of the file that is pointed at. */
  at?: string;
}

export const runRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "runs/$runId",
  validateSearch: (search: Record<string, unknown>): RunSearch => ({
    ...(typeof search.tab === "string" ? { tab: search.tab } : {}),
    ...(search.axis === "time" ? { axis: "time" } : {}),
    ...(typeof search.smoothing === "number" && search.smoothing ? { smoothing: search.smoothing } : {}),
    ...(typeof search.file === "string" ? { file: search.file } : {}),
    ...(typeof search.at === "string" ? { at: search.at } : {}),
  }),
  component: RunPage,
});

function RunPage() {
  const project = useProject();
  const { runId } = runRoute.useParams();
  const run = useRead("/api/v1/projects/{project}/runs/{run_id}", { project, run_id: runId });
  return (
    <Ready query={run} what="the run">
      {(found) => <Shown details={found} />}
    </Ready>
  );
}

function Shown({ details }: { details: Details }) {
  const { run } = details;
  const { tab: wanted } = runRoute.useSearch();
  const tabs = [
    { key: "curves", label: "Metrics" },
    { key: "output", label: "Output" },
    { key: "artifacts", label: "Artifacts", count: details.artifacts.length },
    { key: "code", label: "Code and environment" },
    ...(details.children.length ? [{ key: "children", label: "Runs inside", count: details.children.length }] : []),
  ];
  const tab = tabs.find((one) => one.key === wanted)?.key ?? "curves";
  return (
    <>
      <Heading
        title={
          <>
            {run.name} <span className="third">{conclusion(details)}</span>
          </>
        }
        actions={<Took run={run} />}
      >
        {run.title && <>{run.title} · </>}
        {run.experiment && (
          <>
            experiment{" "}
            <Link to="/projects/$project/runs" params={{ project: run.project }} search={{ filter: `experiment = "${run.experiment}"` }}>
              {run.experiment}
            </Link>{" "}
            ·{" "}
          </>
        )}
        {run.parent && (
          <>
            inside <RunLink runId={run.parent} /> ·{" "}
          </>
        )}
        started {ago(run.started_at)} by {run.actor} · <code>{run.id}</code>
      </Heading>
      {details.error && (
        <div className="trouble" role="note">
          <strong>Why it {run.status === "failed" ? "failed" : "ended"}</strong>
          <pre style={{ whiteSpace: "pre-wrap", marginTop: 4 }}>{details.error}</pre>
        </div>
      )}
      <Tabs tabs={tabs} current={tab} />
      {tab === "curves" && <CurvesPart details={details} />}
      {tab === "output" && <Output runId={run.id} running={run.status === "running"} />}
      {tab === "artifacts" && <Artifacts details={details} />}
      {tab === "code" && <Code details={details} />}
      {tab === "children" && <Children ids={details.children} />}
    </>
  );
}

function conclusion({ run }: Details): string {
  const words: Record<string, string> = {
    running: "is running",
    finished: `finished in ${duration(run.duration_seconds)}`,
    failed: `failed after ${duration(run.duration_seconds)}`,
    pruned: `was cut short after ${duration(run.duration_seconds)}`,
    stopped: `was stopped after ${duration(run.duration_seconds)}`,
    lost: "was lost: its process went silent",
  };
  return words[run.status] ?? run.status;
}

/** The clock of a running run goes on without the server. */
function Took({ run }: { run: Details["run"] }) {
  const [now, setNow] = useState(Date.now);
  const running = run.status === "running";
  useEffect(() => {
    if (!running) return;
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, [running]);
  return (
    <>
      <RunStatus status={run.status} />
      <span className="number">{running ? duration(seconds(run.started_at, null, now)) : duration(run.duration_seconds)}</span>
    </>
  );
}

function CurvesPart({ details }: { details: Details }) {
  const project = useProject();
  const { run } = details;
  const { axis = "step", smoothing = 0 } = runRoute.useSearch();
  const navigate = runRoute.useNavigate();
  const series = useRead("/api/v1/projects/{project}/runs/{run_id}/series", { project, run_id: run.id, buckets: 600 });
  const runs = useMemo((): RunCurves[] => [{ label: run.name, token: "series-1", curves: series.data ?? [] }], [run.name, series.data]);
  const names = curveNames(runs);
  const own = names.filter((name) => !name.startsWith("system/"));
  const single = Object.entries(details.metrics).filter(([name, metric]) => metric.count === 1 && !name.startsWith("system/"));
  const system = names.filter((name) => name.startsWith("system/"));
  return (
    <div className="main-and-side">
      <div className="stack">
        {single.length > 0 && <Standing run={run} metrics={single} />}
        {(own.length > 0 || !single.length) && (
          <Panel
            title="Curves"
            said={run.status === "running" ? "live" : undefined}
            aside={
              own.length > 0 && (
                <CurveTools
                  axis={axis}
                  smoothing={smoothing}
                  change={(part) => void navigate({ search: (before) => ({ ...before, ...part }), replace: true })}
                />
              )
            }
            flush
          >
            <Ready query={series} what="the curves">
              {() => <Curves runs={runs} axis={axis} smoothing={smoothing} names={own} />}
            </Ready>
          </Panel>
        )}
        {system.length > 0 && (
          <details className="panel" open={!own.length && !single.length}>
            <summary style={{ padding: "8px 12px", cursor: "pointer" }}>
              <b>Machine</b> <span className="third">{count(system.length, "curve")}</span>
            </summary>
            <Curves runs={runs} axis={axis} smoothing={smoothing} names={system} />
          </details>
        )}
      </div>
      <div className="stack">
        {own.length > 0 && <MetricsPanel metrics={details.metrics} />}
        <Panel title="Parameters">
          {Object.keys(run.params).length ? (
            <Facts rows={Object.entries(run.params).map(([name, value]) => [name, <code key={name}>{plain(value)}</code>])} />
          ) : (
            <span className="third">None were given.</span>
          )}
        </Panel>
        {Object.keys(run.tags).length > 0 && (
          <Panel title="Tags">
            <span className="row">
              {Object.entries(run.tags).map(([name, value]) => (
                <Pill key={name}>
                  {name}: {value.startsWith("run_") ? <RunLink runId={value} /> : value}
                </Pill>
              ))}
            </span>
          </Panel>
        )}
      </div>
    </div>
  );
}

function MetricsPanel({ metrics }: { metrics: Details["metrics"] }) {
  const own = Object.entries(metrics).filter(([name]) => !name.startsWith("system/"));
  return (
    <Panel title="Metrics" said="the last value of each" flush>
      {own.length ? (
        <table className="ledger">
          <tbody>
            {own.map(([name, metric]) => (
              <tr key={name}>
                <td className="mono">{name}</td>
                <td
                  className="number"
                  title={`lowest ${figure(metric.minimum)}, highest ${figure(metric.maximum)}, ${count(metric.count, "point")}`}
                >
                  {figure(metric.last)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <p className="waiting" style={{ animation: "none" }}>
          Nothing was logged yet.
        </p>
      )}
    </Panel>
  );
}

function Artifacts({ details }: { details: Details }) {
  const project = useProject();
  if (!details.artifacts.length)
    return (
      <Empty title="No artifact" command='run.artifact("plot.png")'>
        A file that a run keeps stands here.
      </Empty>
    );
  return (
    <Panel title={count(details.artifacts.length, "artifact")} flush>
      <table className="ledger">
        <tbody>
          {details.artifacts.map((artifact) => (
            <tr key={artifact.name}>
              <td>
                <a href={`/api/v1/projects/${project}/blobs/${artifact.digest}?name=${encodeURIComponent(artifact.name)}`}>
                  {artifact.name}
                </a>
              </td>
              <td className="number">{bytes(artifact.size_bytes)}</td>
              <td className="mono third clip" style={{ maxWidth: 260 }} title={artifact.digest}>
                {artifact.digest}
              </td>
              <td className="mono third nowrap">{moment(artifact.at)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function Children({ ids }: { ids: readonly string[] }) {
  const project = useProject();
  return (
    <Panel
      title={count(ids.length, "run")}
      said="inside this one"
      aside={
        <Link to="/projects/$project/runs" params={{ project }} search={{ selected: ids.slice(0, 14) as string[] }}>
          compare
        </Link>
      }
      flush
    >
      <table className="ledger">
        <tbody>
          {ids.map((id) => (
            <Child key={id} runId={id} />
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function Child({ runId }: { runId: string }) {
  const project = useProject();
  const { data } = useRead("/api/v1/projects/{project}/runs/{run_id}", { project, run_id: runId });
  return (
    <tr>
      <td>
        <RunLink runId={runId}>{data?.run.name}</RunLink>
      </td>
      <td>{data && <RunStatus status={data.run.status} />}</td>
      <td className="mono wrap second">
        {data &&
          Object.entries(data.run.metrics)
            .map(([name, value]) => `${name} ${figure(value)}`)
            .join("  ")}
      </td>
      <td className="number">{data && duration(data.run.duration_seconds)}</td>
    </tr>
  );
}

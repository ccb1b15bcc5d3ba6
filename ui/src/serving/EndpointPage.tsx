import { createRoute } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { Linked, VersionLink } from "../catalog/links";
import { HarmPanel } from "../delivery/Harm";
import { HurtPanel } from "../delivery/Hurt";
import { RolloutActions } from "../delivery/RolloutActions";
import { RolloutsTable } from "../delivery/RolloutsTable";
import { isOpen, type Rollout } from "../delivery/rollouts";
import { Track } from "../delivery/Track";
import { Chart, Legend, type Series } from "../design/Chart";
import { ago, figure, microseconds, moment, percent } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { AliasPill, Pill } from "../design/Pill";
import { Command, Empty, Ready } from "../design/States";
import { useNow } from "../shell/now";
import { projectRoute, useProject, useServer } from "../shell/root";
import { Actions, Deploy } from "./Actions";
import { AnswersTable } from "./Answers";
import { Performance } from "./Performance";
import "./serving.css";
import { condition, curlOf, ignoredSaid, troubles } from "./words";

export const endpointRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "endpoints/$name",
  validateSearch: (search): { minutes?: number } => (typeof search.minutes === "number" ? { minutes: search.minutes } : {}),
  component: EndpointPage,
});

const SPANS: [number, string][] = [
  [60, "1 h"],
  [360, "6 h"],
  [1440, "24 h"],
];

function EndpointPage() {
  const project = useProject();
  const { name } = endpointRoute.useParams();
  const { minutes = 60 } = endpointRoute.useSearch();
  const status = useRead("/api/v1/projects/{project}/endpoints/{name}", { project, name, minutes });
  const rollouts = useRead("/api/v1/projects/{project}/rollouts", { project, endpoint: name, limit: 50 });
  const open = rollouts.data?.items.find(isOpen);
  return (
    <Ready query={status} what={`the endpoint ${name}`}>
      {(found) => (
        <>
          <Shown status={found} minutes={minutes} open={open} />
          {!!rollouts.data?.items.length && (
            <Panel title="What was tried?" said="every rollout with its reason, newest first" flush>
              <RolloutsTable rollouts={rollouts.data.items} />
            </Panel>
          )}
          <History endpoint={name} />
        </>
      )}
    </Ready>
  );
}

function Shown({ status, minutes, open }: { status: Schemas["EndpointStatus"]; minutes: number; open: Rollout | undefined }) {
  const { endpoint, route } = status;
  const said = condition(status);
  const now = useNow();
  return (
    <>
      <Heading
        title={
          <>
            {endpoint.name} <span className="third">answers with</span> {endpoint.model}@{endpoint.number}
            {open && (
              <>
                <span className="third">, {open.state === "paused" ? "has paused trying" : "trying"}</span> {open.model}@{open.number}
              </>
            )}
          </>
        }
        actions={
          open ? (
            <>
              <Deploy endpoint={endpoint} />
              <RolloutActions rollout={open} />
            </>
          ) : (
            <Actions endpoint={endpoint} />
          )
        }
      >
        <code>POST /endpoints/{endpoint.name}/predict</code> ·{" "}
        <span style={{ color: said.tone === "ok" ? undefined : `var(--${said.tone})` }}>{said.text}</span>
      </Heading>
      {open && (
        <>
          <Track rollout={open} now={now} />
          <div className="halves">
            <HarmPanel rollout={open} />
            <HurtPanel rollout={open} />
          </div>
        </>
      )}
      <Answers endpoint={endpoint.name} />
      <div className="halves">
        <Traffic status={status} minutes={minutes} />
        <Performance endpoint={endpoint.name} />
      </div>
      <Panel
        title="Route"
        said={`epoch ${route.epoch}, ${ago(route.created_at, now)} by ${route.created_by}`}
        aside={route.ungated ? <Pill tone="warn">ungated</Pill> : null}
      >
        {!open && (
          <div className="route-bar" role="img" aria-label={`All requests go to ${endpoint.model}@${endpoint.number}`}>
            <span className="champion" style={{ flexGrow: 1 }}>
              <b>100 %</b> <VersionLink name={endpoint.model} number={endpoint.number} /> <AliasPill>champion</AliasPill>
            </span>
          </div>
        )}
        {route.document.external && (
          <p className="second">
            {endpoint.model}@{endpoint.number} is the existing system at <code>{route.document.external.url}</code>, asked row by row.
          </p>
        )}
        <div className="row second" style={{ marginTop: open ? 0 : 10 }}>
          {present(status.processes).map((process) => (
            <span key={process.process} className="row" title={process.message || process.url}>
              <span
                className={`dot ${process.alive ? (process.state === "failed" ? "bad" : process.epoch === endpoint.epoch ? "ok" : "warn") : ""}`}
              />
              <span>
                {process.alive ? (process.state ?? "starting") : `gone since ${moment(process.seen_at)}`}{" "}
                <span className="third mono">{process.url}</span>
              </span>
            </span>
          ))}
          {status.reason && (
            <span>
              Reason: <Linked text={status.reason} />
            </span>
          )}
        </div>
        <Curl status={status} />
      </Panel>
    </>
  );
}

/** How to ask it from a shell, with a row that it has answered before. */
function Curl({ status }: { status: Schemas["EndpointStatus"] }) {
  const project = useProject();
  const { name } = status.endpoint;
  const server = useServer();
  const last = useRead("/api/v1/projects/{project}/endpoints/{name}/answers", { project, name, limit: 50 });
  const whole = last.data?.items.find((answer) => answer.error === null);
  const url = status.processes.find((process) => process.alive)?.url ?? server.data?.serving_url;
  if (!url || !last.isSuccess) return null;
  return (
    <div style={{ marginTop: 12 }}>
      <span className="third">Ask it: </span>
      <Command>{curlOf(url, name, whole?.row as Record<string, unknown> | undefined, status.route.document.fields)}</Command>
    </div>
  );
}

/** Those that answer; where none does, those that did. */
function present(processes: Schemas["EndpointStatus"]["processes"]) {
  const alive = processes.filter((process) => process.alive);
  return alive.length ? alive : processes.slice(0, 3);
}

function Traffic({ status, minutes }: { status: Schemas["EndpointStatus"]; minutes: number }) {
  const navigate = endpointRoute.useNavigate();
  const x = status.minutes.map((minute) => Date.parse(minute.minute) / 1000);
  const { failed, refused } = troubles(status);
  const ignored = ignoredSaid(status);
  const latency: Series[] = [
    { label: "p95", token: "series-1", values: status.minutes.map((minute) => minute.p95_us) },
    { label: "p50", token: "third", values: status.minutes.map((minute) => minute.p50_us) },
  ];
  const load: Series[] = [
    { label: "requests a minute", token: "series-3", values: status.minutes.map((minute) => minute.requests) },
    ...(failed ? [{ label: "failed", token: "bad", values: status.minutes.map((minute) => minute.errors - minute.refused) }] : []),
    ...(refused ? [{ label: "refused", token: "warn", values: status.minutes.map((minute) => minute.refused) }] : []),
  ];
  return (
    <Panel
      title="Is it quick and whole?"
      said="latency and errors"
      aside={
        <span className="row">
          {SPANS.map(([span, label]) => (
            <button
              key={span}
              type="button"
              className="button quiet"
              style={{ height: 20, color: span === minutes ? "var(--ink)" : undefined }}
              aria-pressed={span === minutes}
              onClick={() => void navigate({ search: { minutes: span }, replace: true })}
            >
              {label}
            </button>
          ))}
        </span>
      }
    >
      {x.length ? (
        <>
          <Chart x={x} series={latency} time unit={microseconds} group="traffic" label="Latency by minute" height={180} />
          <Legend series={latency} />
          <Chart
            x={x}
            series={load}
            time
            unit={(value) => figure(Math.round(value))}
            group="traffic"
            label="Requests and errors by minute"
            height={130}
          />
          <Legend series={load} />
          {ignored && <p className="third">{ignored}</p>}
        </>
      ) : (
        <Empty title="No request in this span">The command under Route asks it.</Empty>
      )}
    </Panel>
  );
}

function Answers({ endpoint }: { endpoint: string }) {
  const project = useProject();
  const answers = useRead("/api/v1/projects/{project}/endpoints/{name}/answers", { project, name: endpoint, limit: 50 });
  return (
    <Panel title="Answers" said="every one is kept, with what made it" aside="newest first" flush>
      <Ready query={answers} what="the latest answers">
        {({ items }) =>
          items.length ? (
            <div className="tall">
              <AnswersTable answers={items} />
            </div>
          ) : (
            <Empty title="It has not been asked yet">An answer is in the log before it leaves; it appears here at once.</Empty>
          )
        }
      </Ready>
    </Panel>
  );
}

const CAUSES: Record<Schemas["Route"]["cause"], [string, "warn" | "info" | undefined]> = {
  deploy: ["deployed", undefined],
  rollback: ["rolled back", "warn"],
  candidate: ["tried", "info"],
  closed: ["closed", "warn"],
};

function RouteCause({ route }: { route: Schemas["Route"] }) {
  const [word, tone] = CAUSES[route.cause];
  return tone ? <Pill tone={tone}>{word}</Pill> : word;
}

function History({ endpoint }: { endpoint: string }) {
  const project = useProject();
  const routes = useRead("/api/v1/projects/{project}/endpoints/{name}/routes", { project, name: endpoint, limit: 50 });
  return (
    <Panel title="What has it served?" said="every route, newest first" flush>
      <Ready query={routes} what="earlier routes">
        {({ items }) => (
          <table className="ledger">
            <thead>
              <tr>
                <th className="number">Epoch</th>
                <th>Since</th>
                <th>Version</th>
                <th>Cause</th>
                <th>Reason</th>
                <th>By</th>
              </tr>
            </thead>
            <tbody>
              {items.map((route) => (
                <tr key={route.epoch}>
                  <td className="number">{route.epoch}</td>
                  <td className="mono third nowrap">{moment(route.created_at)}</td>
                  <td className="nowrap">
                    <VersionLink name={route.document.model} number={route.document.number} />{" "}
                    {route.candidate && (
                      <>
                        <span className="third">{route.candidate.share ? `${percent(route.candidate.share)} to` : "beside"}</span>{" "}
                        <VersionLink name={route.candidate.document.model} number={route.candidate.document.number} />{" "}
                      </>
                    )}
                    {route.in_force && <Pill tone="ok">in force</Pill>}
                  </td>
                  <td className="nowrap">
                    <RouteCause route={route} /> {route.ungated && <Pill tone="warn">ungated</Pill>}
                  </td>
                  <td className="wrap second">
                    <Linked text={route.reason || "–"} />
                  </td>
                  <td className="third">{route.created_by}</td>
                </tr>
              ))}
            </tbody>
          </table>
        )}
      </Ready>
    </Panel>
  );
}

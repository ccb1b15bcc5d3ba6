import { useQueries } from "@tanstack/react-query";
import { createRoute, Link } from "@tanstack/react-router";
import { read } from "../api/client";
import { useRead } from "../api/queries";
import { Linked, RolloutLink, TriggerLink } from "../catalog/links";
import { count, moment } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Command, Empty, Ready, Trouble, Waiting } from "../design/States";
import { AlertLink, MonitorLink } from "../monitoring/links";
import { missingViews } from "../serving/missing";
import type { Happened } from "../serving/Performance";
import { useWindows } from "../serving/useWindows";
import { troublesSaid } from "../serving/words";
import { projectRoute, useProject } from "../shell/root";
import { type Event, told, withLost } from "./events";
import { Ledger } from "./Ledger";
import { headline, type Need, needs } from "./needs";
import { Strip } from "./Strip";
import { WorthIt } from "./WorthIt";
import "./overview.css";

export const overviewRoute = createRoute({ getParentRoute: () => projectRoute, path: "/", component: OverviewPage });

const DAY_MS = 86_400_000;
const MOST_NAMED = 3;
const NO_ANSWERS: never[] = [];

/** When the endpoint's route turned, and when a version of a model was stopped at its gate. */
export function turns(events: readonly Event[], endpoint: string): Happened[] {
  return events.flatMap((event): Happened[] => {
    const body = event.body as { cause?: string; version?: string; state?: string };
    const turn = (kind: Happened["kind"], what = body.version ?? "") => [{ at: event.at, kind, what }];
    if (event.kind === "rollout.ended" && event.subject === endpoint && body.state === "rolled back") return turn("rolled back");
    if (event.kind === "route.changed" && event.subject === endpoint && body.cause === "deploy") return turn("promoted");
    if (event.kind === "route.changed" && event.subject === endpoint && body.cause === "rollback") return turn("rolled back");
    return event.kind === "gate.rejected" ? turn("rejected", event.subject) : [];
  });
}

/** What is live, what needs a person, and what happened. */
function OverviewPage() {
  const project = useProject();
  const assets = useRead("/api/v1/projects/{project}/assets", { project, limit: 1000 });
  const datasets = useRead("/api/v1/projects/{project}/datasets", { project });
  const endpoints = useRead("/api/v1/projects/{project}/endpoints", { project });
  const experiments = useRead("/api/v1/projects/{project}/experiments", { project });
  const failed = useRead("/api/v1/projects/{project}/runs", { project, filter: 'status in ("failed", "lost")', limit: 10 });
  const events = useRead("/api/v1/projects/{project}/events", { project, newest_first: true, limit: 500 });
  const alerts = useRead("/api/v1/projects/{project}/alerts", { project });
  const monitors = useRead("/api/v1/projects/{project}/monitors", { project });
  const triggers = useRead("/api/v1/projects/{project}/triggers", { project });
  const rollouts = useRead("/api/v1/projects/{project}/rollouts", { project, limit: 20 });
  const names = endpoints.data?.items.map((endpoint) => endpoint.name) ?? [];
  const asking = useQueries({
    queries: names.map((name) => ({
      queryKey: ["/api/v1/projects/{project}/endpoints/{name}", { project, name }],
      queryFn: () => read("/api/v1/projects/{project}/endpoints/{name}", { project, name }),
    })),
  });
  const statuses = asking.flatMap((query) => (query.data ? [query.data] : []));
  const first = names[0];
  const answers = useRead(
    "/api/v1/projects/{project}/endpoints/{name}/answers",
    { project, name: first ?? "", limit: 100 },
    { enabled: !!first },
  );
  const asked = answers.data?.items ?? NO_ANSWERS;
  const windows = useWindows(asked);
  const missing = windows ? missingViews(asked, windows) : [];
  const models = (assets.data?.items ?? []).filter((asset) => asset.kind === "model" && asset.latest);
  const verdicts = useQueries({
    queries: models.map((asset) => ({
      queryKey: ["newest verdict", project, asset.name, asset.latest],
      queryFn: () =>
        read("/api/v1/projects/{project}/assets/{model}/versions/{number}/verdicts", {
          project,
          model: asset.name,
          number: asset.latest as number,
        }),
    })),
  }).flatMap((query) => query.data?.items.slice(0, 1) ?? []);

  const recent = (failed.data?.items ?? []).filter((run) => Date.now() - Date.parse(run.ended_at ?? run.started_at) < DAY_MS);
  const open = needs({
    statuses,
    failedRuns: recent,
    verdicts,
    missing,
    datasets: datasets.data?.items ?? [],
    alerts: alerts.data?.items ?? [],
    triggers: triggers.data?.items ?? [],
    rollouts: rollouts.data?.items ?? [],
    events: events.data?.items ?? [],
  });
  const watching = monitors.data?.items.find((monitor) => monitor.endpoint === first);
  const trying = rollouts.data?.items.find((rollout) => rollout.ended_at === null);
  // The conclusion comes first, so it waits for what it is drawn from.
  const unread = [endpoints, experiments, alerts, events, ...asking].find((query) => query.error && !query.data);
  if (unread?.error) return <Trouble error={unread.error} retry={() => void unread.refetch()} />;
  if ([endpoints, experiments, alerts, events, ...asking].some((query) => !query.data)) return <Waiting for="how the project is" />;
  const runs = experiments.data?.reduce((sum, one) => sum + one.runs, 0) ?? 0;
  return (
    <Ready query={assets} what="the project">
      {({ items }) => {
        if (!items.length && !runs && experiments.isSuccess) return <Nothing />;
        return (
          <>
            <Heading title={<Linked text={headline(statuses, open, items.length, runs)} />}>
              {statuses.slice(0, MOST_NAMED).map(({ endpoint, requests, errors, refused }) => (
                <span key={endpoint.name}>
                  <Link to="/projects/$project/endpoints/$name" params={{ project, name: endpoint.name }}>
                    {endpoint.name}
                  </Link>{" "}
                  answers with <Linked text={`${endpoint.model}@${endpoint.number}`} /> since {moment(endpoint.deployed_at)},{" "}
                  {requests
                    ? `${count(requests, "request")} in the last hour${troublesSaid({ errors, refused })}`
                    : "no request in the last hour"}
                  .{" "}
                  {trying?.endpoint === endpoint.name && (
                    <>
                      It tries <Linked text={`${trying.model}@${trying.number}`} /> since {moment(trying.started_at)}.{" "}
                    </>
                  )}
                </span>
              ))}
              {statuses.length > MOST_NAMED && (
                <Link to="/projects/$project/endpoints" params={{ project }}>
                  {count(statuses.length - MOST_NAMED, "more endpoint")}
                </Link>
              )}
            </Heading>
            <Strip
              assets={items}
              datasets={datasets.data?.items ?? []}
              statuses={statuses}
              runs={runs}
              missing={missing}
              monitor={watching}
            />
            <div className="main-and-side">
              {first ? (
                <WorthIt endpoint={first} monitor={watching?.name} happened={turns(events.data?.items ?? [], first)} />
              ) : (
                <Next built={models[0]?.name} declared={items.find((asset) => asset.kind === "model")?.name} applied={items.length > 0} />
              )}
              <NeedsYou open={open} />
            </div>
            <Panel
              title="What happened"
              aside={
                <Link to="/projects/$project/events" params={{ project }}>
                  all, newest first
                </Link>
              }
              flush
            >
              <Ready query={events} what="what happened">
                {(page) =>
                  page.items.length ? (
                    <Ledger events={told(withLost(page.items, recent)).slice(0, 12)} />
                  ) : (
                    <Empty title="Nothing has happened yet" command="clew apply" />
                  )
                }
              </Ready>
            </Panel>
          </>
        );
      }}
    </Ready>
  );
}

function NeedsYou({ open }: { open: Need[] }) {
  return (
    <Panel title="Needs you" aside={open.length || null} flush>
      {open.length ? (
        <ul className="needs">
          {open.map((need) => (
            <li key={need.text}>
              <Pill tone={need.tone}>{need.word}</Pill> <Linked text={need.text} />
              {need.said && (
                <p>
                  <Linked text={need.said} />
                </p>
              )}
              {need.lead && (
                <p>
                  <Lead to={need.lead} />
                </p>
              )}
            </li>
          ))}
        </ul>
      ) : (
        <Empty title="Nothing">All that could be settled without a person is.</Empty>
      )}
    </Panel>
  );
}

function Lead({ to }: { to: NonNullable<Need["lead"]> }) {
  if (to.kind === "alert") return <AlertLink alert={{ id: Number(to.subject) }}>{to.words}</AlertLink>;
  if (to.kind === "monitor") return <MonitorLink name={to.subject}>{to.words}</MonitorLink>;
  if (to.kind === "rollout") return <RolloutLink rolloutId={to.subject}>{to.words}</RolloutLink>;
  return <TriggerLink name={to.subject}>{to.words}</TriggerLink>;
}

/** The next step by what there is: a model to serve, one to build, a file to apply, or runs alone. */
function Next({ built, declared, applied }: { built: string | undefined; declared: string | undefined; applied: boolean }) {
  return (
    <Panel title="What comes next?">
      {built ? (
        <Empty title="A model is built, and nothing is served" command={`clew deploy ${built}@champion`}>
          Its answers, and how good they turn out, will stand here.
        </Empty>
      ) : declared ? (
        <Empty title="No model is built" command={`clew build ${declared}`}>
          A build makes everything that the model needs, tunes, judges and registers it.
        </Empty>
      ) : applied ? (
        <Empty title="No model is declared" command="clew apply">
          A model is declared with <code>@clew.model</code>; then a build makes everything that it needs.
        </Empty>
      ) : (
        <Empty title="Runs are tracked, and that is enough" command="clew runs">
          They are compared on the page of runs; <code>run.register()</code> makes a version of a model of one that is to be served.
        </Empty>
      )}
    </Panel>
  );
}

function Nothing() {
  return (
    <>
      <Heading title="Nothing here yet.">Three ways to begin; whichever you take, this page fills by itself.</Heading>
      <div className="halves">
        <Panel title="Track what you have">
          <p>Two lines in any training script:</p>
          <Command>{'with clew.run("a first try") as run:\n    run.log(loss=0.31, step=1)'}</Command>
        </Panel>
        <Panel title="Declare the whole way">
          <p>A file with datasets, features and a model, made known to this project:</p>
          <Command>clew apply</Command>
        </Panel>
        <Panel title="See it at work">
          <p>Real flights, from data to served answers, in a checkout:</p>
          <Command>make demo</Command>
        </Panel>
      </div>
    </>
  );
}

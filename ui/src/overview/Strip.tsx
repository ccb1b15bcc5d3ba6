import { Link } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { AssetLink, EndpointLink, RunLink, VersionLink } from "../catalog/links";
import { count, duration, figure, microseconds, moment, percent } from "../design/format";
import { AliasPill, Pill, RunStatus, VerdictPill } from "../design/Pill";
import { Spark } from "../design/Spark";
import { MonitorLink } from "../monitoring/links";
import { lookedAt, unjudgedSaid, WORD_TONES } from "../monitoring/looks";
import { judgedOf } from "../registry/judged";
import { useVerdicts } from "../registry/useVerdicts";
import type { MissingView } from "../serving/missing";
import { useReports } from "../serving/Performance";
import { condition, troubles } from "../serving/words";
import { useProject } from "../shell/root";

interface StripProps {
  assets: readonly Schemas["Asset"][];
  datasets: readonly Schemas["DatasetSummary"][];
  statuses: Schemas["EndpointStatus"][];
  runs: number;
  missing: MissingView[];
  monitor: Schemas["Monitor"] | undefined;
}

/** The loop from left to right, each step with what it is at now. */
export function Strip({ assets, datasets, statuses, runs, missing, monitor }: StripProps) {
  const views = assets.filter((asset) => asset.kind === "feature_view");
  const model =
    assets.find((asset) => asset.kind === "model" && asset.name === statuses[0]?.endpoint.model) ??
    assets.find((asset) => asset.kind === "model");
  return (
    <ol className="strip" aria-label="The loop">
      <Data datasets={datasets} />
      <Step title="Features" big={views.length ? <FeaturesBig count={views.length} /> : null} empty="clew apply">
        {missing.length > 0 && (
          <p>
            {missing.slice(0, 2).map(({ view }) => (
              <span key={view}>
                <Pill tone="warn">missing</Pill> <AssetLink name={view} />{" "}
              </span>
            ))}
          </p>
        )}
        {views.length > 0 && !missing.length && (
          <p>
            {views.slice(0, 3).map((view, index) => (
              <span key={view.name}>
                {index > 0 && ", "}
                <AssetLink name={view.name} />
              </span>
            ))}
            {views.length > 3 && ` and ${views.length - 3} more`}
          </p>
        )}
      </Step>
      <Training runs={runs} model={model} />
      <Gate model={model} />
      <Served status={statuses[0]} />
      <Monitored endpoint={statuses[0]?.endpoint.name} monitor={monitor} />
    </ol>
  );
}

function Step({ title, big, empty, children }: { title: string; big: ReactNode; empty: string; children?: ReactNode }) {
  return (
    <li>
      <h3>{title}</h3>
      {big ? (
        <>
          <div className="big">{big}</div>
          {children}
        </>
      ) : (
        <>
          <div className="big third">–</div>
          <p className="third">
            <code>{empty}</code>
          </p>
        </>
      )}
    </li>
  );
}

function FeaturesBig({ count: views }: { count: number }) {
  const project = useProject();
  return (
    <Link to="/projects/$project/features" params={{ project }}>
      {count(views, "view")}
    </Link>
  );
}

function Data({ datasets }: { datasets: readonly Schemas["DatasetSummary"][] }) {
  const project = useProject();
  const newest = [...datasets]
    .filter((dataset) => dataset.latest)
    .sort((a, b) => Date.parse(b.updated_at ?? "") - Date.parse(a.updated_at ?? ""))[0];
  const versions = useRead(
    "/api/v1/projects/{project}/assets/{name}/versions",
    { project, name: newest?.name ?? "", limit: 40 },
    { enabled: !!newest },
  );
  const sizes = (versions.data?.items ?? []).map((version) => Number((version.details as { rows?: number }).rows ?? 0)).reverse();
  return (
    <Step title="Data" big={newest?.latest ? <VersionLink name={newest.name} number={newest.latest} /> : null} empty="clew ingest">
      {newest && (
        <>
          <p>
            {count(newest.rows, "row")} up to {moment(newest.time_max)}
            {newest.tail_rows > 0 && `, ${newest.tail_rows.toLocaleString("en-US")} appended since`}
          </p>
          <Spark values={sizes} label={`Rows of the last ${sizes.length} versions`} />
        </>
      )}
    </Step>
  );
}

/** The version that the model's champion, or its newest, was judged as: a refit's own figures are those of rows that it has seen. */
function useJudged(model: Schemas["Asset"] | undefined) {
  const project = useProject();
  const number = model ? (model.aliases.champion ?? model.latest) : null;
  const parameters = { project, name: model?.name ?? "" };
  const path = "/api/v1/projects/{project}/assets/{name}/versions/{number}" as const;
  const version = useRead(path, { ...parameters, number: number ?? 0 }, { enabled: !!number });
  const judged = version.data && judgedOf(version.data);
  const found = useRead(path, { ...parameters, number: judged?.number ?? 0 }, { enabled: !!judged });
  return { version: version.data, judged, found: found.data };
}

function Training({ runs, model }: { runs: number; model: Schemas["Asset"] | undefined }) {
  const project = useProject();
  const { found } = useJudged(model);
  const newest = useRead("/api/v1/projects/{project}/runs", { project, limit: 60 });
  const won = useRead("/api/v1/projects/{project}/runs/{run_id}", { project, run_id: found?.run_id ?? "" }, { enabled: !!found?.run_id });
  const run = won.data?.run ?? newest.data?.items[0];
  const metric = Object.keys(run?.metrics ?? {}).find((name) => !/^(system|in_sample)\//.test(name));
  // Trials of one study stand in one row; other runs measure other things by the same name.
  const among = (newest.data?.items ?? []).filter((one) => one.parent && one.parent === run?.parent);
  const values = metric ? among.flatMap((one) => one.metrics[metric] ?? []).reverse() : [];
  const big = (
    <Link to="/projects/$project/runs" params={{ project }}>
      {count(runs, "run")}
    </Link>
  );
  return (
    <Step title="Training" big={runs ? big : null} empty="clew build">
      {run && (
        <>
          <p>
            {won.data ? "won by" : "newest"} <RunLink runId={run.id}>{run.name}</RunLink>{" "}
            {run.status === "finished" ? `in ${duration(run.duration_seconds)}` : <RunStatus status={run.status} />}
            {metric && run.metrics[metric] !== undefined && ` · ${metric} ${figure(run.metrics[metric], 3)}`}
          </p>
          <Spark values={values} label={`${metric} of the trials of its study`} />
        </>
      )}
    </Step>
  );
}

function Gate({ model }: { model: Schemas["Asset"] | undefined }) {
  const { version, judged } = useJudged(model);
  const verdict = useVerdicts(version).data?.items[0];
  return (
    <Step title="Gate" big={judged ? <VersionLink name={judged.name} number={judged.number} /> : null} empty="@clew.gate">
      <p>{verdict ? <GateSaid verdict={verdict} /> : <span className="third">judged by no gate</span>}</p>
    </Step>
  );
}

function GateSaid({ verdict }: { verdict: Schemas["GateVerdict"] }) {
  const figures = verdict.figures as {
    difference?: { blocks: number; estimate: number };
    metric?: string;
    auc?: { estimate: number; blocks: number };
    report?: { auc?: { estimate: number; blocks: number } };
  };
  const auc = figures.auc ?? figures.report?.auc;
  const said = figures.difference
    ? `${figures.metric} ${figures.difference.estimate >= 0 ? "+" : "−"}${Math.abs(figures.difference.estimate).toFixed(3)}, ${figures.difference.blocks} days`
    : auc
      ? `AUC ${auc.estimate.toFixed(3)}, ${auc.blocks} days`
      : verdict.reason;
  return (
    <>
      <VerdictPill word={verdict.word} passed={verdict.passed} /> {said}
    </>
  );
}

function Served({ status }: { status: Schemas["EndpointStatus"] | undefined }) {
  if (!status) return <Step title="Endpoint" big={null} empty="clew deploy" />;
  const { endpoint, minutes, requests, route } = status;
  const { failed, refused } = troubles(status);
  const last = minutes.at(-1);
  const said = condition(status);
  return (
    <Step title="Endpoint" big={<VersionLink name={endpoint.model} number={endpoint.number} />} empty="">
      <p>
        {said.tone === "bad" ? <Pill tone="bad">down</Pill> : <AliasPill>champion</AliasPill>} <EndpointLink name={endpoint.name} />{" "}
        {percent(1 - (route.candidate?.share ?? 0))}
        {route.candidate && (
          <>
            {" "}
            · <Pill tone="info">{route.candidate.share ? "canary" : "shadow"}</Pill>{" "}
            <VersionLink name={route.candidate.document.model} number={route.candidate.document.number} />
          </>
        )}
        {last && ` · p95 ${microseconds(last.p95_us)}`}
        {requests > 0 && ` · ${failed.toLocaleString("en-US")} failed`}
        {refused > 0 && `, ${refused.toLocaleString("en-US")} refused`}
      </p>
      <Spark values={minutes.map((minute) => minute.requests)} token="series-3" label="Requests by minute" />
    </Step>
  );
}

/** Safe is what all that is watched was found to be; else which kinds were looked at, and which were not. */
function LookedAt({ monitor }: { monitor: Schemas["Monitor"] }) {
  const { safe, few, unseen } = lookedAt(monitor);
  const open = unjudgedSaid({ few, unseen });
  if (!open) return safe.length ? <Pill tone="ok">safe</Pill> : null;
  return (
    <>
      {safe.length > 0 && `${safe.join(", ")}: nothing found; `}
      {open}
    </>
  );
}

function Monitored({ endpoint, monitor }: { endpoint: string | undefined; monitor: Schemas["Monitor"] | undefined }) {
  const { performance, skew } = useReports(endpoint);
  const figures = performance.data?.items[0]?.performance?.figures;
  const compared = skew.data?.items[0]?.skew;
  if (!figures && !compared && !monitor?.looks.length)
    return <Step title="Monitor" big={null} empty={endpoint ? "waits for labels" : "after a deploy"} />;
  const measured = performance.data?.items[0]?.performance?.word === "measured";
  const auc = measured ? figures?.auc : null;
  const days = (figures?.by_block ?? []).flatMap((block) => (block.matured && block.auc !== null ? [block.auc] : []));
  const amiss = monitor?.looks.filter((look) => ["worse", "missing", "changed"].includes(look.word)) ?? [];
  return (
    <Step
      title="Monitor"
      big={auc ? `AUC ${auc.estimate.toFixed(3)}` : (monitor && <MonitorLink name={monitor.name} />) || "no verdict"}
      empty=""
    >
      <p>
        {auc && `95 % ${auc.low.toFixed(3)} to ${auc.high.toFixed(3)}, ${auc.blocks} ${figures?.unit} `}
        {figures && !measured && <Pill tone="warn">not enough data yet</Pill>}{" "}
        {amiss.map((look) => (
          <span key={look.kind}>
            <Pill tone={WORD_TONES[look.word]}>{look.word}</Pill> {look.word !== look.kind && look.kind}{" "}
          </span>
        ))}
        {monitor && !amiss.length && <LookedAt monitor={monitor} />}
        {!monitor && compared && <Pill tone={compared.differing ? "bad" : "ok"}>{compared.differing ? "skew" : "no skew"}</Pill>}
      </p>
      <Spark values={days} token="series-2" label="AUC by day" />
    </Step>
  );
}

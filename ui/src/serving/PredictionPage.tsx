import { createRoute, Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { EndpointLink, Linked, RunLink, VersionLink } from "../catalog/links";
import { RowsTable } from "../datasets/DatasetVersion";
import { count, figure, microseconds, moment, percent, plain, shortDigest } from "../design/format";
import { Facts, Heading, Panel } from "../design/Panel";
import { Pill, VerdictPill } from "../design/Pill";
import { Command, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { Truth } from "./Answers";
import "./serving.css";

export const predictionRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "predictions/$predictionId",
  component: PredictionPage,
});

/** One prediction walked back: what was asked, what was known, and every version, run and line of code behind it. */
function PredictionPage() {
  const project = useProject();
  const { predictionId } = predictionRoute.useParams();
  const explained = useRead("/api/v1/projects/{project}/predictions/{prediction_id}/explanation", { project, prediction_id: predictionId });
  return (
    <Ready query={explained} what="the prediction and everything behind it">
      {(found) => <Explained of={found} />}
    </Ready>
  );
}

function Explained({ of }: { of: Schemas["Explanation"] }) {
  const { answer } = of;
  return (
    <>
      <Heading
        title={
          answer.error ? (
            <>It was asked, and failed</>
          ) : (
            <>
              {answer.model}@{answer.number} <span className="third">said</span> {figure(answer.probability, 3)}
            </>
          )
        }
        actions={<Command>{`clew explain ${answer.prediction_id}`}</Command>}
      >
        <code>{answer.prediction_id}</code> · asked {moment(answer.event_time ?? answer.at)} of <EndpointLink name={answer.endpoint} />,
        epoch {answer.epoch}, answered in {microseconds(answer.latency_us)} · truth: <Truth truth={answer.truth} />
        {answer.error && <> · {answer.error}</>}
      </Heading>
      <div className="main-and-side">
        <div className="stack">
          <Panel title="Where does this answer come from?" said="walk back">
            <Walk of={of} />
          </Panel>
          {Object.entries(of.rows ?? {}).map(([view, rows]) => (
            <Panel key={view} title={`Rows behind ${view}`} said={behind(rows.length)} flush>
              <ViewRows rows={rows as Record<string, unknown>[]} />
            </Panel>
          ))}
        </div>
        <div className="stack">
          <Panel title="What was asked?">
            <Facts
              rows={Object.entries(answer.row as Record<string, unknown>).map(([name, value]) => [
                name,
                <code key={name}>{Number.isInteger(value) ? String(value) : plain(value)}</code>,
              ])}
            />
          </Panel>
          {externalOf(of) ? (
            <Panel title="What did the model see?">
              <p>What was asked; what it makes of that is known to the existing system alone.</p>
            </Panel>
          ) : (
            <Panel title="What did the model see?" said={`${of.features.length} features`} flush>
              <FeaturesSeen features={of.features} />
            </Panel>
          )}
        </div>
      </div>
    </>
  );
}

/** The existing system that gave the answer, where it was one. */
function externalOf({ answer, route }: Schemas["Explanation"]) {
  const tried = route.candidate?.document;
  return (tried?.number === answer.number ? tried : route.document).external;
}

/** At most so many rows of a view are told: those that came last. */
const MOST_ROWS = 20;

function behind(rows: number): string {
  return rows === MOST_ROWS ? `the newest ${MOST_ROWS} of those in its windows, as known then` : `${count(rows, "row")}, as known then`;
}

/** The file and the function that made the model, in the run that trained it. */
function FunctionLink({ of }: { of: Schemas["Explanation"] }) {
  const project = useProject();
  const definitions = useRead("/api/v1/projects/{project}/definitions", { project, kind: "model" });
  const document = definitions.data?.items.find((one) => one.name === of.model.name)?.document as
    | { function?: { file: string; qualname: string } }
    | undefined;
  const called = document?.function;
  if (!called || !of.run_id) return null;
  return (
    <>
      <Link
        to="/projects/$project/runs/$runId"
        params={{ project, runId: of.run_id }}
        search={{ tab: "code", file: called.file, at: called.qualname }}
      >
        {called.file} at <code>{called.qualname}</code>
      </Link>
      {", "}
    </>
  );
}

const CAUSES: Record<Schemas["Route"]["cause"], string> = {
  deploy: "deployed",
  rollback: "rolled back",
  candidate: "with a candidate since",
  closed: "its candidate closed",
};

function Walk({ of }: { of: Schemas["Explanation"] }) {
  const { answer, model, training_set, route } = of;
  return (
    <ol className="walk" data-testid="walk">
      <li>
        <h3>Prediction</h3>
        {answer.error ? <Pill tone="bad">error</Pill> : <b className="mono">{figure(answer.probability)}</b>}
        {answer.missing.length > 0 && <> without {answer.missing.join(", ")}</>}
        {answer.other && (
          <>
            ; <VersionLink name={answer.model} number={answer.other.number} /> said{" "}
            {answer.other.error ? (
              <Pill tone="warn">{answer.other.error}</Pill>
            ) : (
              <b className="mono">{figure(answer.other.probability)}</b>
            )}
          </>
        )}
      </li>
      <li>
        <h3>Route</h3>
        epoch {route.epoch} of <EndpointLink name={route.endpoint} />, {CAUSES[route.cause]} {moment(route.created_at)} by{" "}
        {route.created_by}
        {/* A route that tries a version was made for that one, and its reason is that one's. */}
        {route.ungated && (!route.candidate || answer.by_candidate) && <Pill tone="warn">ungated: {route.reason}</Pill>}
      </li>
      <li>
        <h3>Model</h3>
        <VersionLink name={model.name} number={model.number} />, {externalOf(of) ? "" : "new because of "}
        <Linked text={model.why} />
      </li>
      {of.verdicts.map((verdict) => (
        <li key={`${verdict.gate}${verdict.at}`}>
          <h3>Gate {verdict.gate}</h3>
          <VerdictPill word={verdict.word} passed={verdict.passed} /> <Linked text={verdict.reason} />
        </li>
      ))}
      {of.run_id && (
        <li>
          <h3>Run</h3>
          <RunLink runId={of.run_id} />
        </li>
      )}
      {training_set && (
        <li>
          <h3>Training set</h3>
          <VersionLink name={training_set.name} number={training_set.number} />, <Linked text={training_set.why} />
        </li>
      )}
      {of.views.length > 0 && (
        <li>
          <h3>Feature views</h3>
          <Versions versions={of.views} />
        </li>
      )}
      {of.datasets.length > 0 && (
        <li>
          <h3>Datasets</h3>
          <Versions versions={of.datasets} />
        </li>
      )}
      <li>
        <h3>Code</h3>
        <FunctionLink of={of} />
        {of.source ? (
          <>
            source snapshot <code title={of.source}>{shortDigest(of.source)}</code>
          </>
        ) : (
          <span className="third">{externalOf(of) ? "of its owners" : "no source snapshot"}</span>
        )}
        {of.git_commit && (
          <>
            , git commit <code>{of.git_commit.slice(0, 12)}</code>
          </>
        )}
      </li>
    </ol>
  );
}

function Versions({ versions }: { versions: readonly Schemas["AssetVersion"][] }) {
  return (
    <span className="row">
      {versions.map((version) => (
        <VersionLink key={`${version.name}@${version.number}`} name={version.name} number={version.number} />
      ))}
    </span>
  );
}

function FeaturesSeen({ features }: { features: readonly Schemas["AnsweredFeature"][] }) {
  const missing = features.filter((feature) => feature.value === null).length;
  return (
    <>
      {missing > 0 && (
        <p className="waiting" style={{ padding: "8px 10px", animation: "none" }}>
          {percent(missing / features.length)} were missing.
        </p>
      )}
      <table className="ledger">
        <tbody>
          {features.map((feature) => (
            <tr key={feature.name}>
              <td className="mono">
                {feature.name}
                {feature.view && (
                  <div className="third" style={{ lineHeight: "15px" }}>
                    {feature.number ? <VersionLink name={feature.view} number={feature.number} /> : feature.view}
                  </div>
                )}
              </td>
              <td className="number">{feature.value === null ? <span className="pill warn">missing</span> : figure(feature.value)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </>
  );
}

function ViewRows({ rows }: { rows: Record<string, unknown>[] }) {
  const columns = Object.keys(rows[0] ?? {});
  return <RowsTable columns={columns} rows={rows.map((row) => columns.map((column) => row[column]))} />;
}

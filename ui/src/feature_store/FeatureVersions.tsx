import { useBlob } from "../api/blobs";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { useWrite } from "../api/writes";
import { VersionLink } from "../catalog/links";
import { Act } from "../design/Ask";
import { count, figure, moment, percent } from "../design/format";
import { Facts, Panel } from "../design/Panel";
import type { Tab } from "../design/Tabs";
import { useProject } from "../shell/root";
import { filesIn } from "../tracking/code";
import { SourceText } from "../tracking/SourceText";

type Version = Schemas["AssetVersion"];

interface FeatureColumn {
  name: string;
  dtype: string;
}

interface Ref {
  name: string;
  number: number;
}

/** The parts of a view's details that are shown; the whole document is on the About tab. */
interface ViewDetails {
  kind: "windows" | "table" | "request";
  definition: Record<string, unknown>;
  columns: FeatureColumn[];
  entity: FeatureColumn[];
  inputs: Ref[];
  time: string | null;
  rows: number;
  time_min: string | null;
  time_max: string | null;
}

const MADE: Record<ViewDetails["kind"], string> = {
  windows: "Evaluated at each request's own time, over a dataset's rows: offline and online alike",
  table: "Rows that a function made, looked up as of each request within their ttl",
  request: "Computed from the request itself",
};

export function featureViewTabs(version: Version): Tab[] {
  return [{ key: "features", label: "Features", count: (version.details as unknown as ViewDetails).columns?.length }];
}

export function FeatureViewParts({ version }: { version: Version; tab: string }) {
  const details = version.details as unknown as ViewDetails;
  const definition = details.definition ?? {};
  return (
    <>
      <Panel title="How is it made?" aside={<RevertTo version={version} />}>
        <Facts
          rows={[
            ["Kind", MADE[details.kind]],
            ["Entity", details.entity?.map((one) => one.name).join(", ")],
            ["Made of", <Refs key="i" refs={details.inputs ?? []} />],
            ["Windows", Array.isArray(definition.over) ? definition.over.join(", ") : null],
            ["Event time", details.time && <code key="t">{details.time}</code>],
            ["Valid for", definition.ttl ? `${definition.ttl} (ttl)` : null],
            ["Past that", definition.missing !== undefined && definition.missing !== null ? said(definition.missing) : null],
            ["Rows", details.rows ? `${count(details.rows, "row")}, ${moment(details.time_min)} to ${moment(details.time_max)}` : null],
          ]}
        />
      </Panel>
      <FunctionSource version={version} definition={definition} />
      <Panel title="Features" said="by these names in the model's matrix, each a float32" flush>
        <ColumnsTable columns={details.columns ?? []} />
      </Panel>
    </>
  );
}

interface FunctionRef {
  file: string;
  qualname: string;
}

/** The function that makes the view, from the source snapshot that its definition was applied with. */
function FunctionSource({ version, definition }: { version: Version; definition: Record<string, unknown> }) {
  const project = useProject();
  const definitions = useRead("/api/v1/projects/{project}/definitions", { project });
  const called = definition.function as FunctionRef | null | undefined;
  const applied = definitions.data?.items.find((one) => one.name === version.name && one.kind === "feature_view");
  const manifest = useBlob(called ? (applied?.source ?? undefined) : undefined);
  const file = manifest.data ? filesIn(manifest.data).find((one) => one.path === called?.file) : undefined;
  const text = useBlob(file?.digest);
  if (!called || !text.data) return null;
  const older = applied && applied.digest !== version.definition_digest;
  return (
    <Panel
      title="The function"
      said={
        <>
          <code>{called.qualname}</code> in {called.file}
          {older && `, as it was applied ${moment(applied.created_at)}`}
        </>
      }
      flush
    >
      <SourceText text={text.data} at={called.qualname} only />
    </Panel>
  );
}

/** An earlier version can be made the newest again. */
function RevertTo({ version: { name, number } }: { version: Version }) {
  const project = useProject();
  const versions = useRead("/api/v1/projects/{project}/assets/{name}/versions", { project, name, limit: 200 });
  const revert = useWrite("POST", "/api/v1/projects/{project}/features/{name}/reverts");
  const newest = versions.data?.items[0]?.number;
  if (!newest || newest === number) return null;
  return (
    <Act
      label="Revert to this version…"
      title={`Make ${name}@${number} the newest again?`}
      confirm={`Revert to @${number}`}
      act={async () => {
        const { version } = await revert({ project, name }, { number });
        return `${name}@${version.number} is ${name}@${number} again.`;
      }}
    >
      <ul className="consequences">
        <li>
          {name}@{newest + 1} will be made of it: its definition, its data and its online rows together. {name}@{newest} stays, and can be
          reverted to in the same way.
        </li>
        <li>What endpoints serve does not change: each pins its own versions. The next build of a model takes the new one.</li>
        <li>Your file still declares what it declares: apply it again, and its definition is in force again.</li>
      </ul>
    </Act>
  );
}

function said(missing: unknown): string {
  return missing === "hold" ? "the last value is held" : missing === "null" ? "missing" : `the constant ${missing}`;
}

function Refs({ refs }: { refs: Ref[] }) {
  return (
    <span className="row">
      {refs.map((ref) => (
        <VersionLink key={`${ref.name}@${ref.number}`} name={ref.name} number={ref.number} />
      ))}
    </span>
  );
}

function ColumnsTable({ columns }: { columns: FeatureColumn[] }) {
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Feature</th>
          <th>Type</th>
        </tr>
      </thead>
      <tbody>
        {columns.map((column) => (
          <tr key={column.name}>
            <td className="mono">{column.name}</td>
            <td className="mono second">{column.dtype}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface SetDetails {
  rows: number;
  features: string[];
  key: string[];
  entities: string[];
  time: string;
  label: string;
  label_within: string;
  holdout_from: string | null;
  holdout_rows: number;
  cut_off: string;
  time_min: string | null;
  time_max: string | null;
  unlabelled: number;
  block: string;
  zone: string;
  spine: Ref;
  label_dataset: Ref;
  views: { view: string; number: number; columns: string[]; by: Record<string, string>; prefix: string }[];
}

export function trainingSetTabs(version: Version): Tab[] {
  return [{ key: "rows", label: "Rows and features", count: (version.details as unknown as SetDetails).features?.length }];
}

export function TrainingSetParts({ version }: { version: Version; tab: string }) {
  const details = version.details as unknown as SetDetails;
  const training = details.rows - details.holdout_rows;
  return (
    <>
      <Panel title="What may a model learn from, and what judges it?">
        <Split training={training} holdout={details.holdout_rows} />
        <Facts
          rows={[
            ["Training", `${count(training, "row")}, ${moment(details.time_min)} to ${moment(details.holdout_from ?? details.time_max)}`],
            [
              "Holdout",
              details.holdout_rows
                ? `${count(details.holdout_rows, "row")} from ${moment(details.holdout_from)} on; no model's function sees them`
                : "none",
            ],
            [
              "Label",
              <span key="l">
                <code>{details.label}</code> of <VersionLink name={details.label_dataset.name} number={details.label_dataset.number} />,
                within {details.label_within}
              </span>,
            ],
            [
              "Unlabelled",
              details.unlabelled
                ? `${figure(details.unlabelled)} rows whose label never came within ${details.label_within} are left out`
                : null,
            ],
            ["Matured up to", moment(details.cut_off)],
            ["Rows from", <VersionLink key="s" name={details.spine.name} number={details.spine.number} />],
            ["Key", <code key="k">{details.key.join(", ")}</code>],
            ["Event time", <code key="t">{details.time}</code>],
            ["Block", `${details.block} in ${details.zone}: rows of one block move together, and are counted as one`],
          ]}
        />
      </Panel>
      <Panel title="Features" said={`${details.features.length}, by view, as known at each row's time`} flush>
        <table className="ledger">
          <thead>
            <tr>
              <th>View</th>
              <th>Looked up by</th>
              <th>Features</th>
            </tr>
          </thead>
          <tbody>
            {details.views.map((used) => (
              <tr key={`${used.view}-${used.prefix}`}>
                <td className="nowrap">
                  <VersionLink name={used.view} number={used.number} />
                </td>
                <td className="mono second">{Object.values(used.by).join(", ") || "the request"}</td>
                <td className="names">
                  {used.columns.map((column) => (
                    <code key={column}>{column}</code>
                  ))}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Panel>
    </>
  );
}

function Split({ training, holdout }: { training: number; holdout: number }) {
  const share = holdout / Math.max(training + holdout, 1);
  return (
    <div className="route-bar" style={{ marginBottom: 12 }} role="img" aria-label={`${percent(1 - share)} train, ${percent(share)} judge`}>
      <span className="champion" style={{ flexGrow: 1 - share }}>
        <b>{percent(1 - share)}</b> train
      </span>
      {holdout > 0 && (
        <span className="other" style={{ flexGrow: share }}>
          <b>{percent(share)}</b> judge
        </span>
      )}
    </div>
  );
}

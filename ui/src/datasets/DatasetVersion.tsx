import { Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { useWrite } from "../api/writes";
import { versionRoute } from "../catalog/VersionPage";
import { Act } from "../design/Ask";
import { count, figure, moment, percent, plain } from "../design/format";
import { Facts, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import type { Tab } from "../design/Tabs";
import { useProject } from "../shell/root";
import { ProfilePart } from "./ProfilePart";

type Version = Schemas["AssetVersion"];
type Details = Schemas["DatasetDetails"];

export function datasetTabs(version: Version): Tab[] {
  const details = version.details as unknown as Details;
  return [
    { key: "columns", label: "Columns", count: details.columns?.length },
    { key: "profile", label: "Profile" },
    { key: "rows", label: "Rows", count: details.rows },
    { key: "changes", label: "Changes" },
  ];
}

export function DatasetParts({ version, tab }: { version: Version; tab: string }) {
  if (tab === "profile") return <ProfilePart version={version} />;
  if (tab === "rows") return <Rows version={version} />;
  if (tab === "changes") return <Changes version={version} />;
  return <Columns version={version} />;
}

function Columns({ version }: { version: Version }) {
  const project = useProject();
  const found = useRead("/api/v1/projects/{project}/datasets/{name}/versions/{number}", {
    project,
    name: version.name,
    number: version.number,
  });
  return (
    <Ready query={found} what="its columns">
      {({ details, tail_rows }) => (
        <>
          <Panel title="What does it hold?">
            <Facts
              rows={[
                ["Rows", `${count(details.rows, "row")}, ${details.added_rows.toLocaleString("en-US")} of them new here`],
                ["Appended since", tail_rows ? <Appended key="t" rows={tail_rows} name={version.name} /> : null],
                ["Key", <code key="k">{details.key.join(", ")}</code>],
                [
                  "Event time",
                  details.time && (
                    <span key="e">
                      <code>{details.time}</code>, {moment(details.time_min)} to {moment(details.time_max)}
                    </span>
                  ),
                ],
                ["Known from", details.known && <code key="n">{details.known}</code>],
                ["Came from", details.source],
              ]}
            />
          </Panel>
          <Panel
            title="Columns"
            said={details.expectations ? "with the rules that every file must keep" : "no rules are enforced yet"}
            flush
          >
            <table className="ledger">
              <thead>
                <tr>
                  <th>Column</th>
                  <th>Type</th>
                  <th className="number">Missing</th>
                  <th className="number">Distinct</th>
                  <th>Lowest</th>
                  <th>Highest</th>
                  <th>Rules</th>
                </tr>
              </thead>
              <tbody>
                {details.columns.map((column) => (
                  <tr key={column.name}>
                    <td className="mono">{column.name}</td>
                    <td className="mono second nowrap">
                      {dtype(column.dtype)}
                      {column.zone && <span className="third"> {column.zone}</span>}
                    </td>
                    <td className="number">{column.nulls ? percent(column.nulls / details.rows) : "–"}</td>
                    <td className="number">{figure(column.distinct)}</td>
                    <td className="mono clip" style={{ maxWidth: 220 }}>
                      {extreme(column, column.minimum)}
                    </td>
                    <td className="mono clip" style={{ maxWidth: 220 }}>
                      {extreme(column, column.maximum)}
                    </td>
                    <td className="wrap">
                      <Rules of={details.expectations?.columns?.[column.name]} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Panel>
        </>
      )}
    </Ready>
  );
}

function Appended({ rows, name }: { rows: number; name: string }) {
  const project = useProject();
  const cut = useWrite("POST", "/api/v1/projects/{project}/datasets/{name}/cuts");
  return (
    <span className="row">
      <Pill tone="info">{count(rows, "row")}</Pill> readable already, in no version yet.
      <Act
        label="Cut…"
        title={`Take what was appended to ${name} into a version?`}
        confirm="Cut a version"
        act={async () => {
          const { version, added } = await cut({ project, name }, {});
          return `${version.name}@${version.number} is the newest version, with ${count(added, "row")} more.`;
        }}
      >
        <ul className="consequences">
          <li>
            {count(rows, "appended row")}, and those that come until then, become the newest version. They are checked against the rules
            first.
          </li>
          <li>What is built from {name} next takes that version; what was built stays as it is.</li>
        </ul>
      </Act>
    </span>
  );
}

/** A column's rules as words. */
export function rulesOf(rules: Schemas["ColumnExpectation"] | undefined): string[] {
  if (!rules) return [];
  const said: string[] = [];
  if (rules.between) {
    const [low, high] = rules.between as [number | null, number | null];
    said.push(low === null ? `at most ${figure(high)}` : high === null ? `at least ${figure(low)}` : `${figure(low)} to ${figure(high)}`);
  }
  if (rules.one_of) said.push(rules.one_of.length > 6 ? `one of ${rules.one_of.length} values` : `one of ${rules.one_of.join(", ")}`);
  if (rules.nulls !== undefined && rules.nulls !== null)
    said.push(rules.nulls === 0 ? "never missing" : `missing in at most ${percent(rules.nulls)}`);
  return said;
}

/** A Polars type as short as it stays clear: the zone stands beside it. */
export function dtype(name: string): string {
  return name.replace(/^Datetime\(time_unit='(\w+)'.*\)$/, "Datetime $1").replace(" us", " µs");
}

/** A time by its column's own clock. */
function extreme(column: Schemas["Column"], value: unknown): string {
  return column.zone && typeof value === "string" ? moment(value, column.zone) : plain(value);
}

function Rules({ of }: { of: Schemas["ColumnExpectation"] | undefined }) {
  const said = rulesOf(of);
  return said.length ? <span className="second">{said.join("; ")}</span> : <span className="third">–</span>;
}

function Rows({ version }: { version: Version }) {
  const project = useProject();
  const rows = useRead(
    "/api/v1/projects/{project}/datasets/{name}/versions/{number}/rows",
    { project, name: version.name, number: version.number, limit: 100 },
    { fixed: true },
  );
  return (
    <Ready query={rows} what="its first rows">
      {(preview) => (
        <Panel
          title={`The first ${preview.rows.length} of ${count(preview.total, "row")}`}
          said={
            <>
              all of them:{" "}
              <code>
                clew.get("{version.name}@{version.number}").collect()
              </code>
            </>
          }
          flush
        >
          <RowsTable columns={preview.columns.map((column) => column.name)} rows={preview.rows} />
        </Panel>
      )}
    </Ready>
  );
}

export function RowsTable({ columns, rows }: { columns: string[]; rows: unknown[][] }) {
  return (
    <div style={{ overflow: "auto", maxHeight: "65vh" }}>
      <table className="ledger">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column} className={typeof rows[0]?.[columns.indexOf(column)] === "number" ? "number" : ""}>
                {column}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: rows of a preview have no name but their place
            <tr key={index}>
              {row.map((value, at) => (
                <td key={columns[at]} className={typeof value === "number" ? "number" : "mono nowrap"}>
                  {Number.isInteger(value) ? String(value) : plain(value)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Changes({ version }: { version: Version }) {
  const project = useProject();
  const { base = version.number - 1 } = versionRoute.useSearch();
  const diff = useRead(
    "/api/v1/projects/{project}/datasets/{name}/diff",
    { project, name: version.name, base, target: version.number },
    { fixed: true, enabled: base >= 1 },
  );
  if (version.number === 1) return <Empty title="This is the first version">There is none before it to compare with.</Empty>;
  const others = Array.from({ length: version.number - 1 }, (_, index) => version.number - 1 - index).slice(0, 20);
  return (
    <>
      <div className="row">
        Against{" "}
        {others.map((number) => (
          <Link
            key={number}
            to="."
            search={(before: Record<string, unknown>) => ({ ...before, base: number })}
            className={`mono ${number === base ? "" : "third"}`}
            aria-current={number === base || undefined}
          >
            @{number}
          </Link>
        ))}
      </div>
      <Ready query={diff} what="both versions, row by row">
        {(found) => (
          <>
            <Panel title={`What does @${version.number} have that @${base} has not?`} said={`rows by ${found.key.join(", ")}`}>
              <Facts
                rows={[
                  ["Added", figure(found.added)],
                  ["Changed", figure(found.changed)],
                  ["Removed", figure(found.removed)],
                  ["The same", figure(found.unchanged)],
                ]}
              />
            </Panel>
            {found.added_examples.length > 0 && (
              <Panel title="Some of the added rows" said="their keys" flush>
                <RowsTable columns={[...found.key]} rows={found.added_examples} />
              </Panel>
            )}
          </>
        )}
      </Ready>
    </>
  );
}

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { newKey, read, type Schemas, write } from "../api/client";
import { versionRoute } from "../catalog/VersionPage";
import { count, figure, percent } from "../design/format";
import { Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { useProject } from "../shell/root";
import { Distribution } from "./Distribution";
import { type ColumnProfile, missingSaid, type Shift, valueSaid } from "./profiles";

type Version = Schemas["AssetVersion"];

/** A version's profile, against another one if asked. It is computed once, when somebody first wants to see it. */
function useProfile(version: Version, against: number | undefined) {
  const project = useProject();
  const path = "/api/v1/projects/{project}/datasets/{name}/versions/{number}/profile" as const;
  const about = { project, name: version.name, number: version.number };
  return useQuery<Schemas["VersionProfile"], Error>({
    queryKey: [path, about, against ?? null],
    queryFn: async ({ signal }) => {
      const parameters = { ...about, ...(against === undefined ? {} : { against }) };
      const kept = await read(path, parameters, signal);
      if (kept) return kept;
      await write("POST", path, about, against === undefined ? {} : { against }, newKey());
      const made = await read(path, parameters, signal);
      if (!made) throw new Error("the profile was computed, and is not there");
      return made;
    },
    staleTime: Number.POSITIVE_INFINITY,
    meta: { fixed: true },
    retry: false,
  });
}

export function ProfilePart({ version }: { version: Version }) {
  const { against } = versionRoute.useSearch();
  const profile = useProfile(version, against);
  const others = Array.from({ length: version.number - 1 }, (_, index) => version.number - 1 - index).slice(0, 20);
  return (
    <>
      {others.length > 0 && (
        <div className="row">
          Against{" "}
          <Against number={undefined} chosen={against === undefined}>
            none
          </Against>
          {others.map((number) => (
            <Against key={number} number={number} chosen={number === against}>
              @{number}
            </Against>
          ))}
        </div>
      )}
      <Ready
        query={profile}
        what={against ? "the profiles of both versions; the first time every row is read" : "the profile; the first time every row is read"}
      >
        {(found) => <Shown of={found} against={against} version={version} />}
      </Ready>
    </>
  );
}

function Against({ number, chosen, children }: { number: number | undefined; chosen: boolean; children: React.ReactNode }) {
  return (
    <Link
      to="."
      search={({ against: _, ...before }: Record<string, unknown>) => (number === undefined ? before : { ...before, against: number })}
      className={`mono ${chosen ? "" : "third"}`}
      aria-current={chosen || undefined}
    >
      {children}
    </Link>
  );
}

function Shown({ of, against, version }: { of: Schemas["VersionProfile"]; against: number | undefined; version: Version }) {
  const { profile, before, shifts } = of;
  const places = new Map(shifts.map((shift, at) => [shift.name, at]));
  const columns = before ? [...profile.columns].sort((a, b) => (places.get(a.name) ?? 999) - (places.get(b.name) ?? 999)) : profile.columns;
  const earlier = new Map(before?.columns.map((column) => [column.name, column]));
  if (!columns.length) return <Empty title="It has no columns" />;
  return (
    <Panel
      title={before ? `How far did each column move since @${against}?` : "What do its columns hold?"}
      said={
        before
          ? `${count(before.rows, "row")} then, ${count(profile.rows, "row")} now; the farthest first. Distances are no verdicts.`
          : `${count(profile.rows, "row")}, each counted once in up to 64 bins`
      }
      aside={<code>{`clew.get("${version.name}@${version.number}").profile(${against ?? ""})`}</code>}
      flush
    >
      <table className="ledger profile">
        <thead>
          <tr>
            <th>Column</th>
            <th>
              Distribution
              {before && <span className="third">, line: @{against}</span>}
            </th>
            <th className="number">Missing</th>
            {before ? (
              <>
                <th className="number" title="Jensen–Shannon distance: 0 the same, 1 nothing in common">
                  Distance
                </th>
                <th className="number" title="Total variation: the share of rows that would have to be elsewhere">
                  Moved
                </th>
                <th className="number" title="Population stability index">
                  PSI
                </th>
                <th className="number" title="Kolmogorov–Smirnov: the largest difference of the distribution functions">
                  KS
                </th>
                <th>New</th>
              </>
            ) : (
              <>
                <th className="number">Mean</th>
                <th className="number">Deviation</th>
                <th>Lowest</th>
                <th>Highest</th>
              </>
            )}
          </tr>
        </thead>
        <tbody>
          {columns.map((column) => (
            <tr key={column.name}>
              <td className="mono">
                {column.name}
                <div className="third">{column.bins.kind}</div>
              </td>
              <td>
                <Distribution column={column} before={earlier.get(column.name)} than={`@${against}`} />
              </td>
              <td className="number">{missingSaid(column, earlier.get(column.name))}</td>
              {before ? <Distances shift={shifts[places.get(column.name) ?? -1]} /> : <Moments column={column} />}
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function Distances({ shift }: { shift: Shift | undefined }) {
  if (!shift)
    return (
      <td colSpan={5} className="third">
        not in both versions
      </td>
    );
  return (
    <>
      <td className="number">{figure(shift.jensen_shannon, 3)}</td>
      <td className="number">{shift.total_variation === null ? "–" : percent(shift.total_variation)}</td>
      <td className="number">{figure(shift.population_stability, 3)}</td>
      <td className="number">{figure(shift.kolmogorov_smirnov, 3)}</td>
      <td className="wrap">
        {shift.new.length ? (
          <>
            {shift.new.slice(0, 4).map((value) => (
              <span key={value}>
                <Pill tone="warn">{value}</Pill>{" "}
              </span>
            ))}
            {shift.new.length > 4 && <span className="third">and {shift.new.length - 4} more</span>}
          </>
        ) : (
          <span className="third">–</span>
        )}
      </td>
    </>
  );
}

function Moments({ column }: { column: ColumnProfile }) {
  const { moments, bins } = column;
  const number = bins.kind === "number" || bins.kind === "category";
  const spread = moments && moments.squared !== null && moments.count > 1 ? Math.sqrt(moments.squared / (moments.count - 1)) : null;
  return (
    <>
      <td className="number">{moments && number ? figure(moments.mean) : "–"}</td>
      <td className="number">{number ? figure(spread) : "–"}</td>
      <td className="mono nowrap">{moments ? valueSaid(column, moments.minimum) : "–"}</td>
      <td className="mono nowrap">{moments ? valueSaid(column, moments.maximum) : "–"}</td>
    </>
  );
}

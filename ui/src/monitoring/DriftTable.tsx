import { useRead } from "../api/queries";
import { AssetLink } from "../catalog/links";
import { SmallDistribution } from "../datasets/Distribution";
import type { ColumnProfile } from "../datasets/profiles";
import { count, day, figure, moment, percent, signed } from "../design/format";
import { Pill } from "../design/Pill";
import { useProject } from "../shell/root";
import { type DriftFigures, evidenceByWeek, evidenceSaid, type Look, WORD_TONES } from "./looks";

/** How many weeks together stand beside the reference: those by which a look measures how far a column moves the score. */
const WEEKS = 4;

/** Columns ranked by how far they move the mean score, each with its distribution and its evidence by week against the threshold. */
export function DriftTable({ looks, newest }: { looks: readonly Look[]; newest: Look }) {
  const project = useProject();
  const figures = newest.figures as unknown as DriftFigures;
  const held = useRead("/api/v1/projects/{project}/monitors/{name}/profile", { project, name: newest.monitor, weeks: WEEKS });
  const columns = new Map(held.data?.profile.columns.map((column) => [column.name, column]));
  const before = new Map(held.data?.before.columns.map((column) => [column.name, column]));
  const weeks = evidenceByWeek(looks, newest.source);
  const threshold = figures.threshold ?? 1;
  return (
    <table className="ledger drift">
      <thead>
        <tr>
          <th>Column</th>
          <th>View</th>
          <th>Word</th>
          <th
            title={
              held.data ? `${count(held.data.profile.rows, "row")} from ${moment(held.data.start)} to ${moment(held.data.end)}` : undefined
            }
          >
            {held.data ? (
              <>
                {count(held.data.weeks, "week")} to {day(held.data.end)}
                <span className="third">, line: {held.data.source}</span>
              </>
            ) : (
              "Distribution"
            )}
          </th>
          <th className="number">Moves the score</th>
          <th className="number">Rows elsewhere</th>
          <th className="number">Evidence</th>
          <th>by week, {figure(threshold)} needed</th>
          <th>Since</th>
        </tr>
      </thead>
      <tbody>
        {figures.features.map((one) => (
          <tr key={one.feature}>
            <td className="mono">{one.feature}</td>
            <td>
              {one.view ? (
                <AssetLink name={one.view} />
              ) : (
                <span className="third">{one.feature === "predictions" ? "what it answers" : "–"}</span>
              )}
            </td>
            <td className="nowrap">
              <Pill tone={WORD_TONES[one.word]}>{one.word}</Pill>
            </td>
            <td>
              <Held
                column={columns.get(one.feature)}
                before={before.get(one.feature)}
                than={held.data?.source ?? ""}
                waiting={held.isPending}
              />
            </td>
            <td className="number">{one.impact === null ? "–" : signed(one.impact)}</td>
            <td className="number">{one.moved === undefined ? "–" : percent(one.moved)}</td>
            <td className="number">{evidenceSaid(one.log_evidence)}</td>
            <td>
              <Evidence
                logs={weeks.get(one.feature) ?? [one.log_evidence]}
                threshold={threshold}
                changed={one.word === "changed"}
                name={one.feature}
              />
            </td>
            <td className="mono third nowrap">{one.since ? moment(one.since) : "–"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface HeldProps {
  column: ColumnProfile | undefined;
  before: ColumnProfile | undefined;
  than: string;
  waiting: boolean;
}

function Held({ column, before, than, waiting }: HeldProps) {
  if (column) return <SmallDistribution column={column} before={before} than={than} />;
  // As high as what will stand there, so that nothing jumps.
  return waiting ? <div className="histogram small" style={{ height: 41 }} /> : <span className="third">–</span>;
}

const [WIDTH, HEIGHT] = [120, 24];

/** Log evidence by week from 1, where a bet began, to above the threshold that is dashed. */
function Evidence({ logs, threshold, changed, name }: { logs: number[]; threshold: number; changed: boolean; name: string }) {
  const needed = Math.log(threshold);
  // Evidence against has no bound from below, and says nothing of interest there.
  const top = Math.max(needed * 1.2, Math.min(Math.max(...logs), needed * 3));
  const y = (value: number) => HEIGHT - 2 - ((Math.min(Math.max(value, -2), top) + 2) / (top + 2)) * (HEIGHT - 4);
  const x = (week: number) => (logs.length > 1 ? (week / (logs.length - 1)) * WIDTH : WIDTH);
  return (
    <svg
      className="evidence"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Evidence that ${name} changed, ${logs.length} weeks: ${evidenceSaid(logs.at(-1) ?? 0)} of ${figure(threshold)}`}
    >
      <line x1={0} x2={WIDTH} y1={y(needed)} y2={y(needed)} stroke="var(--bad)" strokeDasharray="3 3" strokeWidth={1} />
      <polyline
        points={logs.map((value, week) => `${x(week).toFixed(1)},${y(value).toFixed(1)}`).join(" ")}
        fill="none"
        stroke={changed ? "var(--warn)" : "var(--series-1)"}
        strokeWidth={1.5}
      />
      <circle cx={x(logs.length - 1)} cy={y(logs.at(-1) ?? 0)} r={2} fill={changed ? "var(--warn)" : "var(--series-1)"} />
    </svg>
  );
}

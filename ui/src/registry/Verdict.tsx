import type { Schemas } from "../api/client";
import { AssetLink, Linked } from "../catalog/links";
import { figure, microseconds, moment, percent, signed } from "../design/format";
import { Interval, type IntervalFigures } from "../design/Interval";
import { Panel } from "../design/Panel";
import { VerdictPill } from "../design/Pill";
import { Calibration } from "./Calibration";

interface Slice {
  column: string;
  value: string;
  rows: number;
  log_loss: number;
  low: number;
  high: number;
  positives: number;
  predicted: number;
  differs: boolean;
}

interface MissingView {
  view: string;
  log_loss: number;
  log_loss_without: number;
  mean_score: number;
  mean_score_without: number;
}

interface Report {
  auc?: IntervalFigures;
  log_loss?: IntervalFigures;
  unit?: string;
  slices?: Slice[];
  calibration?: { predicted: number; observed: number; low: number; high: number; rows: number }[];
  missing_views?: MissingView[];
  latency_us?: { p50: number; p95: number };
  invariance?: Record<string, unknown>;
}

/** What a gate's figures may hold. Gates are user code: every part may be absent. */
interface Figures extends Report {
  metric?: string;
  difference?: IntervalFigures;
  margin?: number;
  challenger?: number;
  champion?: number;
  report?: Report;
}

/** What a gate found about a version: the word, the intervals with the line that decides, then who it serves less well. */
export function Verdict({ verdict }: { verdict: Schemas["GateVerdict"] }) {
  const figures = verdict.figures as Figures;
  const report = figures.report ?? figures;
  return (
    <>
      <Panel
        title={
          <>
            <VerdictPill word={verdict.word} passed={verdict.passed} /> at the gate <AssetOrName name={verdict.gate} />
          </>
        }
        aside={moment(verdict.at)}
      >
        <p style={{ marginBottom: 8 }}>
          <Linked text={verdict.reason} />
        </p>
        <div className="halves thirds">
          {figures.difference && (
            <figure>
              <h3>Is it {figures.margin ? "no worse than" : "better than"} the champion?</h3>
              <Interval
                figures={figures.difference}
                line={-(figures.margin ?? 0)}
                lineLabel={figures.margin ? `no worse than −${figures.margin}` : "better"}
                zero
                passed={verdict.passed}
                label={`${figures.metric}, challenger − champion`}
              />
              <figcaption className="third">
                {figures.metric}, challenger − champion ({figure(figures.challenger)} against {figure(figures.champion)});{" "}
                {unitOf(figures.difference, report.unit)}
              </figcaption>
            </figure>
          )}
          {report.auc && (
            <figure>
              <h3>How well does it tell them apart?</h3>
              <Interval figures={report.auc} line={0.5} lineLabel="guessing 0.5" label="AUC" />
              <figcaption className="third">AUC; {unitOf(report.auc, report.unit)}</figcaption>
            </figure>
          )}
          {report.log_loss && (
            <figure>
              <h3>How far off are its probabilities?</h3>
              <Interval figures={report.log_loss} label="log loss" />
              <figcaption className="third">log loss in nats, less is better; {unitOf(report.log_loss, report.unit)}</figcaption>
            </figure>
          )}
        </div>
      </Panel>
      <div className="halves">
        {!!report.calibration?.length && (
          <Panel title="When it says 30 %, is it 30 %?" said="by tenths of the score, 95 %">
            <Calibration bins={report.calibration} />
          </Panel>
        )}
        {!!report.missing_views?.length && (
          <Panel title="What if a view goes missing?" said="log loss without it" flush>
            <MissingViews views={report.missing_views} />
          </Panel>
        )}
      </div>
      {!!report.slices?.length && (
        <Panel
          title="Does it serve anyone less well?"
          said="log loss by slice, 95 %; marked where it differs after Holm's correction"
          flush
        >
          <Slices slices={report.slices} overall={report.log_loss?.estimate} />
        </Panel>
      )}
      {report.latency_us && (
        <p className="third">
          One row takes {microseconds(report.latency_us.p50)} at the median, {microseconds(report.latency_us.p95)} at the 95th percentile,
          in the gate's own process.
        </p>
      )}
    </>
  );
}

function AssetOrName({ name }: { name: string }) {
  return <code>{name}</code>;
}

function unitOf(interval: IntervalFigures, unit = "days"): string {
  return `${Math.round(interval.level * 100)} % over ${interval.blocks} ${unit}, ${interval.rows.toLocaleString("en-US")} rows`;
}

function MissingViews({ views }: { views: MissingView[] }) {
  const worst = [...views].sort((a, b) => b.log_loss_without - a.log_loss_without);
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Without</th>
          <th className="number">Log loss</th>
          <th className="number">Change</th>
          <th className="number">Mean score</th>
        </tr>
      </thead>
      <tbody>
        {worst.map((one) => (
          <tr key={one.view}>
            <td>
              <AssetLink name={one.view} />
            </td>
            <td className="number">{figure(one.log_loss_without)}</td>
            <td className="number" style={{ color: one.log_loss_without - one.log_loss > 0.05 ? "var(--bad)" : undefined }}>
              {signed(one.log_loss_without - one.log_loss)}
            </td>
            <td className="number">
              {percent(one.mean_score_without)} <span className="third">was {percent(one.mean_score)}</span>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Slices({ slices, overall }: { slices: Slice[]; overall: number | undefined }) {
  const top = Math.max(...slices.map((slice) => slice.high));
  const bottom = Math.min(...slices.map((slice) => slice.low));
  const x = (value: number) => ((value - bottom) / (top - bottom || 1)) * 100;
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Slice</th>
          <th className="number">Rows</th>
          <th className="number">Happened</th>
          <th className="number">Said</th>
          <th className="number">Log loss</th>
          <th style={{ width: "34%" }}>
            95 %{overall !== undefined && <span className="third"> · line: all rows, {figure(overall, 3)}</span>}
          </th>
        </tr>
      </thead>
      <tbody>
        {slices.map((slice) => (
          <tr key={`${slice.column}=${slice.value}`}>
            <td className="nowrap">
              <span className="third">{slice.column}</span> <span className="mono">{slice.value}</span>{" "}
              {slice.differs && <span className="pill warn">differs</span>}
            </td>
            <td className="number">{figure(slice.rows)}</td>
            <td className="number">{percent(slice.positives)}</td>
            <td className="number">{percent(slice.predicted)}</td>
            <td className="number">{figure(slice.log_loss, 3)}</td>
            <td>
              <svg
                width="100%"
                height="16"
                role="img"
                aria-label={`${figure(slice.low, 3)} to ${figure(slice.high, 3)}`}
                style={{ overflow: "visible", display: "block" }}
              >
                {overall !== undefined && <line x1={`${x(overall)}%`} x2={`${x(overall)}%`} y1={-7} y2={23} stroke="var(--strong-line)" />}
                <line
                  x1={`${x(slice.low)}%`}
                  x2={`${x(slice.high)}%`}
                  y1={8}
                  y2={8}
                  stroke={slice.differs ? "var(--warn)" : "var(--series-1)"}
                  strokeWidth={2}
                />
                <circle cx={`${x(slice.log_loss)}%`} cy={8} r={3.2} fill={slice.differs ? "var(--warn)" : "var(--series-1)"} />
              </svg>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

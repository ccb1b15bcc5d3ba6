import { Linked } from "../catalog/links";
import { Chart, type ChartLine, type ChartWindow } from "../design/Chart";
import { figure, moment } from "../design/format";
import { Pill } from "../design/Pill";
import { intervalSaid, type Look, type Metric, type PerformanceFigures, SHOWN_METRICS, WORD_TONES } from "./looks";

const at = (iso: string) => Date.parse(iso) / 1000;

/** Each metric by window with its interval, against what unseen rows gave and the threshold; then the figures of every look. */
export function PerformanceLooks({ looks }: { looks: readonly Look[] }) {
  const metrics = [...new Set(looks.flatMap((look) => Object.keys(figuresOf(look).metrics ?? {})))];
  return (
    <>
      {metrics.length > 0 && (
        <div className="halves small-charts">
          {metrics.map((metric) => (
            <Windows key={metric} metric={metric} looks={looks} />
          ))}
        </div>
      )}
      <table className="ledger looks">
        <thead>
          <tr>
            <th>Window</th>
            <th>Version</th>
            <th>Word</th>
            {metrics.map((metric) => (
              <th key={metric}>{SHOWN_METRICS[metric] ?? metric}</th>
            ))}
            <th className="number">Days</th>
            <th className="number">Rows</th>
          </tr>
        </thead>
        <tbody>
          {looks.map((look) => {
            const figures = figuresOf(look);
            return (
              <tr key={look.id} title={look.summary}>
                <td className="mono third nowrap">
                  {moment(look.start)} to {moment(look.end)}
                </td>
                <td className="nowrap">
                  <Linked text={look.source} />
                </td>
                <td className="nowrap">
                  <Pill tone={WORD_TONES[look.word]}>{look.word}</Pill>
                </td>
                {metrics.map((metric) => (
                  <td key={metric} className="wrap">
                    <Figures metric={figures.metrics?.[metric]} />
                  </td>
                ))}
                <td className="number">{figure(figures.days)}</td>
                <td className="number">{figure(figures.rows)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </>
  );
}

function figuresOf(look: Look): PerformanceFigures {
  return look.figures as unknown as PerformanceFigures;
}

function Figures({ metric }: { metric: Metric | undefined }) {
  if (!metric?.interval) return <span className="third">–</span>;
  return (
    <>
      <span className="mono">{intervalSaid(metric.interval)}</span>
      <div className="third">
        {metric.reference === null ? "no unseen rows to compare with" : `unseen rows ${metric.reference.toFixed(3)}`}
        {metric.threshold !== null && `; worse from ${metric.threshold.toFixed(3)} on`}
      </div>
    </>
  );
}

function Windows({ metric, looks }: { metric: string; looks: readonly Look[] }) {
  const windows = [...looks].reverse().flatMap((look): ChartWindow[] => {
    const found = figuresOf(look).metrics?.[metric];
    if (!found?.interval || !look.start) return [];
    const { estimate, low, high } = found.interval;
    const token = found.word === "worse" ? "bad" : found.word === "not enough data yet" ? "third" : "series-1";
    return [{ from: at(look.start), to: at(look.end), value: estimate, low, high, token }];
  });
  const newest = looks.map((look) => figuresOf(look).metrics?.[metric]).find((found) => found?.threshold != null);
  const name = SHOWN_METRICS[metric] ?? metric;
  const better = metric === "auc"; // a higher AUC is better, a higher loss worse
  const lines: ChartLine[] = [];
  if (newest?.reference != null) lines.push({ y: newest.reference, token: "third", label: "unseen rows", below: !better });
  if (newest?.threshold != null)
    lines.push({ y: newest.threshold, token: "bad", dashed: true, label: better ? "worse below" : "worse above", below: better });
  if (!windows.length) return null;
  return (
    <figure>
      <h3>
        {name}
        {metric === "log_loss" && <span className="third"> in nats</span>}
      </h3>
      <Chart
        x={windows.map((one) => (one.from + one.to) / 2)}
        series={[{ label: name, token: "series-1", values: windows.map((one) => one.value), quiet: true }]}
        windows={windows}
        lines={lines}
        reach={[windows[0]?.from ?? 0, windows.at(-1)?.to ?? 1]}
        time
        height={170}
        label={`${name} by window: ${windows.map((one) => one.value.toFixed(3)).join(", ")}`}
      />
    </figure>
  );
}

import { useMemo } from "react";
import { Chart, type ChartLine, type ChartMark, type Series } from "../design/Chart";
import { day, moment, signed } from "../design/format";
import { Panel } from "../design/Panel";
import { VerdictPill } from "../design/Pill";
import { Empty } from "../design/States";
import { beginnings, candidateOf, championOf, harmSaid, isOpen, type Rollout, stepTitle, wouldEnd } from "./rollouts";

const seconds = (at: number) => at / 1000;

/** Days whose interval is several times the last one's say nothing that can be seen beside it. */
const WIDEST = 2.5;

/** Is the candidate safe? The difference in loss by day with the interval that holds at every look, against the tolerance. */
export function HarmPanel({ rollout }: { rollout: Rollout }) {
  const { harm } = rollout;
  const candidate = candidateOf(rollout);
  const asked = isOpen(rollout) ? `Is ${candidate} safe?` : `Was ${candidate} safe?`;
  return (
    <Panel title={asked} said={`log loss, ${candidate} − ${championOf(rollout)}`} aside="same requests, by day">
      {harm && harm.daily.length > 0 ? (
        <>
          <HarmChart rollout={rollout} harm={harm} />
          <p>
            <VerdictPill word={harm.word} passed={harm.word !== "worse"} /> {harmSaid(harm)[0]}
          </p>
          <p className="third" style={{ marginTop: 4 }}>
            {harmSaid(harm)[1]} Labels up to {moment(harm.until)} have matured.
          </p>
        </>
      ) : (
        <Empty title={harm ? "Not enough data yet" : "Nothing is held against it"}>
          {harm || rollout.guard?.harm != null
            ? "Both versions score every request; the first labels that mature put the first day here."
            : "The endpoint's guard names no harm: clew.guard(harm=0.02) would."}
        </Empty>
      )}
    </Panel>
  );
}

function HarmChart({ rollout, harm }: { rollout: Rollout; harm: NonNullable<Rollout["harm"]> }) {
  const shown = useMemo(() => {
    const { daily, tolerance } = harm;
    const last = daily.at(-1);
    const reach = last ? Math.max(last.high - last.low, 2 * tolerance) * WIDEST : 1;
    const kept = daily.filter((one) => one.high - one.low <= reach);
    const values = [...kept.flatMap((one) => [one.low, one.high]), 0, 2 * tolerance, -tolerance];
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const air = (high - low) * 0.08;
    const series: Series[] = [
      {
        label: "difference so far",
        token: "series-1",
        values: daily.map((one) => one.mean),
        band: { low: daily.map((one) => one.low), high: daily.map((one) => one.high) },
      },
    ];
    const lines: ChartLine[] = [
      { y: tolerance, token: "bad", dashed: true, label: "harm: what may be lost" },
      { y: 0, token: "third", label: "better below, not judged here", below: true },
    ];
    const marks: ChartMark[] = beginnings(rollout).flatMap((at, step) =>
      at && step ? [{ x: seconds(at), sign: "▸", token: "info", label: stepTitle(rollout.steps[step] as Rollout["steps"][number]) }] : [],
    );
    if (rollout.ended_at) {
      const back = rollout.state === "rolled back";
      marks.push({ x: seconds(Date.parse(rollout.ended_at)), sign: back ? "⟲" : "▲", token: back ? "warn" : "ok", label: rollout.state });
    }
    return { series, lines, marks, between: [low - air, high + air] as [number, number] };
  }, [harm, rollout]);
  const x = harm.daily.map((one) => seconds(Date.parse(one.at)));
  const until = rollout.ended_at ? Date.parse(rollout.ended_at) : wouldEnd(rollout);
  return (
    <Chart
      x={x}
      series={shown.series}
      lines={shown.lines}
      marks={shown.marks}
      between={shown.between}
      reach={[seconds(Date.parse(rollout.started_at)), seconds(until)]}
      time
      unit={(value) => signed(value, Math.abs(value) < 0.1 && harm.tolerance < 0.1 ? 3 : 2)}
      height={216}
      label={`Difference in log loss by day until ${day(harm.until)}: ${signed(harm.mean ?? 0)}, 95 % ${signed(harm.low ?? 0)} to ${signed(harm.high ?? 0)}, against ${signed(harm.tolerance)}`}
    />
  );
}

import { Link } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { Linked } from "../catalog/links";
import { Chart, type ChartWindow, Legend, type Series } from "../design/Chart";
import { count, retold } from "../design/format";
import { Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Waiting } from "../design/States";
import { type Look, type PerformanceFigures, WORD_TONES } from "../monitoring/looks";
import { type Happened, SIGNS, useReports } from "../serving/Performance";
import { useProject } from "../shell/root";
import { type Day, daysOf, weekly } from "./worth";

interface WorthItProps {
  endpoint: string;
  monitor: string | undefined;
  happened: Happened[];
}

/** Was it worth it? How good the answers were over the whole time, with the turns of the route, and what keeping the model would cost. */
export function WorthIt({ endpoint, monitor, happened }: WorthItProps) {
  const project = useProject();
  const { performance } = useReports(endpoint);
  const about = { project, name: monitor ?? "" };
  const windows = useRead(
    "/api/v1/projects/{project}/monitors/{name}/looks",
    { ...about, kind: "performance", limit: 60 },
    { enabled: !!monitor },
  );
  const regret = useRead(
    "/api/v1/projects/{project}/monitors/{name}/looks",
    { ...about, kind: "regret", limit: 12 },
    { enabled: !!monitor },
  );
  const report = performance.data?.items[0]?.performance;
  const days = daysOf(windows.data?.items ?? [], report);
  const looked = windowsOf(windows.data?.items ?? []);
  const drawn = days.length > 1 || looked.length > 0;
  const reading = performance.isPending || (monitor !== undefined && windows.isPending);
  return (
    <Panel
      title="Was it worth it?"
      said="AUC on labels that have come, mean of 7 days"
      aside={
        monitor && (
          <Link to="/projects/$project/monitors/$name" params={{ project, name: monitor }}>
            {monitor}
          </Link>
        )
      }
    >
      {reading ? (
        <Waiting for="how it did" />
      ) : drawn || report?.figures.blocks ? (
        <>
          {drawn && <Curve days={days} looked={looked} happened={happened} />}
          {report && (
            <p className="second" style={{ marginTop: 8 }}>
              {report.word !== "measured" && <Pill tone="warn">{report.word}</Pill>} {count(report.figures.blocks, "matured day")},{" "}
              {count(report.figures.rows, "row")}
              {report.figures.auc &&
                `: AUC ${report.figures.auc.estimate.toFixed(3)}, 95 % ${report.figures.auc.low.toFixed(3)} to ${report.figures.auc.high.toFixed(3)}`}
              .
            </p>
          )}
          <Regret look={regret.data?.items[0]} />
        </>
      ) : (
        <Empty title="Not measured yet">
          An answer is judged once its label has come by key and its day has matured: a monitor looks by itself, and{" "}
          <code>POST …/endpoints/{endpoint}/performance</code> measures now.
        </Empty>
      )}
    </Panel>
  );
}

function windowsOf(looks: readonly Look[]): ChartWindow[] {
  return [...looks].reverse().flatMap((look) => {
    const found = (look.figures as unknown as PerformanceFigures).metrics?.auc;
    if (!found?.interval || !look.start) return [];
    const { estimate, low, high } = found.interval;
    return [
      {
        from: Date.parse(look.start) / 1000,
        to: Date.parse(look.end) / 1000,
        value: estimate,
        low,
        high,
        token: found.word === "worse" ? "bad" : "third",
      },
    ];
  });
}

interface CurveProps {
  days: Day[];
  looked: ChartWindow[];
  happened: Happened[];
}

function Curve({ days, looked, happened }: CurveProps) {
  const means = weekly(days);
  const asDays = !looked.length || means.some((mean) => mean !== null);
  const x = asDays ? days.map((day) => day.at) : looked.map((one) => (one.from + one.to) / 2);
  const series: Series[] = [
    {
      label: asDays ? "answers as they were given" : "AUC of the window",
      token: "series-1",
      values: asDays ? means : looked.map((one) => one.value),
      quiet: !asDays,
      broken: true,
    },
  ];
  const reach: [number, number] = [Math.min(x[0] ?? 0, looked[0]?.from ?? Infinity), Math.max(x.at(-1) ?? 0, looked.at(-1)?.to ?? 0)];
  const marks = happened
    .map(({ at, kind }) => ({ x: Date.parse(at) / 1000, sign: SIGNS[kind][0], token: SIGNS[kind][1], label: kind }))
    .filter((mark) => mark.x >= reach[0] && mark.x <= reach[1]);
  const legend = [...series, ...(looked.length ? [{ label: "a monitor's window, 95 %", token: "third" }] : [])];
  return (
    <>
      <Chart x={x} series={series} windows={looked} marks={marks} reach={reach} time height={230} label="AUC over the whole time" />
      <Legend series={legend} marks={marks} />
    </>
  );
}

function Regret({ look }: { look: Look | undefined }) {
  if (!look) return null;
  return (
    <p style={{ marginTop: 4 }}>
      <Pill tone={WORD_TONES[look.word]}>{look.word}</Pill>{" "}
      <span className="second">
        Would a fresh model have been better? <Linked text={retold(look.summary.replace(`${look.word}: `, ""))} />
      </span>
    </p>
  );
}

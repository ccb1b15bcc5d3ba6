import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { Chart, Legend, type Series } from "../design/Chart";
import { count, figure, moment } from "../design/format";
import { Interval } from "../design/Interval";
import { Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { useProject } from "../shell/root";

/** The newest report of each kind that monitoring has kept of an endpoint. */
export function useReports(endpoint: string | undefined) {
  const project = useProject();
  const parameters = { project, name: endpoint ?? "", limit: 1 };
  const performance = useRead(
    "/api/v1/projects/{project}/endpoints/{name}/reports",
    { ...parameters, kind: "performance" },
    { enabled: !!endpoint },
  );
  const skew = useRead("/api/v1/projects/{project}/endpoints/{name}/reports", { ...parameters, kind: "skew" }, { enabled: !!endpoint });
  return { performance, skew };
}

/** A turn in an endpoint's life, to be seen along its curve. */
export interface Happened {
  at: string;
  kind: "deployed" | "promoted" | "tried" | "rolled back" | "rejected";
  what: string;
}

export const SIGNS = {
  deployed: ["▲", "ok"],
  promoted: ["▲", "ok"],
  tried: ["▸", "info"],
  "rolled back": ["⟲", "warn"],
  rejected: ["×", "bad"],
} as const;

/** How good the answers turned out to be, day by day, with the interval over days; and whether training and serving agree. */
export function Performance({ endpoint, happened = [] }: { endpoint: string; happened?: Happened[] }) {
  const { performance, skew } = useReports(endpoint);
  const newest = skew.data?.items[0]?.skew;
  return (
    <Panel title="Is it right?" said="on labels that have come">
      <Ready query={performance} what="how it did">
        {({ items }) =>
          items[0]?.performance ? (
            <Measured report={items[0].performance} happened={happened} />
          ) : (
            <Empty title="Not measured yet">
              An answer is judged once its label has come by key and its day has matured: <code>clew performance {endpoint}</code> measures.
            </Empty>
          )
        }
      </Ready>
      {newest && <Skew report={newest} />}
    </Panel>
  );
}

function Measured({ report, happened }: { report: Schemas["PerformanceReport"]; happened: Happened[] }) {
  const { figures } = report;
  // With a handful of blocks an interval is wider than the scale: the word is all that can be said.
  const enough = report.word === "measured";
  const days = figures.by_block.filter((block) => block.labelled > 0);
  const x = days.map((block) => Date.parse(block.starts) / 1000);
  const series: Series[] = [
    { label: "AUC of the day", token: "series-1", values: days.map((block) => (block.matured ? block.auc : null)) },
    { label: "not matured yet", token: "third", dashed: true, values: days.map((block) => (block.matured ? null : block.auc)) },
  ];
  const [from = 0, to = 0] = [x[0], x.at(-1)];
  const marks = happened
    .map(({ at, kind, what }) => ({ x: Date.parse(at) / 1000, sign: SIGNS[kind][0], token: SIGNS[kind][1], label: kind, what }))
    .filter((mark) => mark.x >= from && mark.x <= to);
  const shown = series.filter((one) => one.values.some((value) => value !== null));
  return (
    <>
      <p className="second">
        {enough ? (
          <>
            {count(figures.blocks, "matured block")} ({figures.unit}), {figures.rows.toLocaleString("en-US")} rows;{" "}
            {figure(figures.waiting)} wait for a label, {figure(figures.unlabelled)} got none.
          </>
        ) : (
          <>
            <Pill tone="warn">{report.word}</Pill> {count(figures.blocks, "matured block")}, {count(figures.rows, "row")}.
          </>
        )}
      </p>
      <div className="intervals">
        {enough && figures.auc && (
          <figure>
            <h3>AUC, {Math.round(figures.auc.level * 100)} %</h3>
            <Interval figures={figures.auc} line={0.5} lineLabel="guessing 0.5" label="AUC of the answers" />
          </figure>
        )}
        {enough && figures.log_loss && (
          <figure>
            <h3>Log loss in nats, {Math.round(figures.log_loss.level * 100)} %</h3>
            <Interval figures={figures.log_loss} label="Log loss of the answers" />
          </figure>
        )}
      </div>
      {x.length > 1 && (
        <>
          <Chart x={x} series={shown} time height={marks.length ? 190 : 150} label="AUC by day" marks={marks} />
          <Legend series={shown} marks={marks} />
        </>
      )}
      <p className="third" style={{ marginTop: 6 }}>
        {report.start && `${moment(report.start)} to ${moment(report.end)}, `}as of {moment(report.at)}; 5 % under exchangeable days.
      </p>
    </>
  );
}

function Skew({ report }: { report: Schemas["SkewReport"] }) {
  const agrees = report.cells > 0 && report.differing === 0;
  const worst = [...(report.features ?? [])].filter((one) => one.differing).sort((a, b) => b.differing - a.differing);
  return (
    <p style={{ marginTop: 10, paddingTop: 10, borderTop: "1px solid var(--line)" }}>
      <Pill tone={agrees ? "ok" : report.cells ? "bad" : "quiet"}>{agrees ? "no skew" : report.cells ? "skew" : "not measured"}</Pill>{" "}
      {figure(report.cells)} feature values of {count(report.rows, "answer")} recomputed as known then:{" "}
      {agrees
        ? "all the same"
        : `${figure(report.differing)} differ${
            worst[0]
              ? `, most in ${worst
                  .slice(0, 3)
                  .map((one) => `${one.feature} of ${one.view}`)
                  .join(", ")}`
              : ""
          }`}{" "}
      <span className="third">
        (tolerance {report.tolerance}, largest difference {figure(report.largest, 3)})
      </span>
    </p>
  );
}

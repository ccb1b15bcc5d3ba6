import { useMemo } from "react";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { VersionLink } from "../catalog/links";
import { Chart, type ChartLine, Legend, type Series } from "../design/Chart";
import { count, figure, microseconds } from "../design/format";
import { Panel } from "../design/Panel";
import { AliasPill, Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { useProject } from "../shell/root";
import { candidateOf, championOf, isOpen, type Rollout } from "./rollouts";
import { paceOf, type Side, saidOf, sideOf } from "./split";

const MOST = 500;

/** Does the candidate hurt anyone? Errors and latency of both versions on the newest answers that both have seen. */
export function HurtPanel({ rollout }: { rollout: Rollout }) {
  const project = useProject();
  const answers = useRead("/api/v1/projects/{project}/endpoints/{name}/answers", { project, name: rollout.endpoint, limit: MOST });
  return (
    <Panel title={isOpen(rollout) ? "Does it hurt anyone?" : "Did it hurt anyone?"} aside="errors and latency">
      <Ready query={answers} what="the newest answers">
        {({ items }) => <Both rollout={rollout} answers={items} />}
      </Ready>
    </Panel>
  );
}

function Both({ rollout, answers }: { rollout: Rollout; answers: readonly Schemas["Answer"][] }) {
  const tried = useMemo(() => answers.filter((answer) => saidOf(answer, rollout.number)), [answers, rollout.number]);
  const pace = useMemo(() => paceOf(tried, rollout.champion, rollout.number), [tried, rollout.champion, rollout.number]);
  if (!tried.length)
    return (
      <Empty title="No answer of it among the newest">
        {isOpen(rollout)
          ? "Every request is scored by both while it is tried. Ask the endpoint, and they stand here at once."
          : `The newest ${MOST} answers are younger than this rollout; what its guard said stands below.`}
      </Empty>
    );
  const champion = sideOf(tried, rollout.champion);
  const candidate = sideOf(tried, rollout.number);
  const guard = rollout.guard;
  const limit = guard?.p95_ms == null ? null : guard.p95_ms * 1000;
  const series: Series[] = [
    { label: `${championOf(rollout)} p95`, token: "third", values: pace.champion },
    { label: `${candidateOf(rollout)} p95`, token: "series-1", values: pace.candidate },
  ];
  const most = Math.max(...[...pace.champion, ...pace.candidate].map((value) => value ?? 0));
  // A limit far above both would press them flat: then it is told in words only.
  const lines: ChartLine[] =
    limit !== null && limit < most * 8 ? [{ y: limit, token: "bad", dashed: true, label: `guard: ${microseconds(limit)}` }] : [];
  return (
    <>
      {pace.at.length > 1 && (
        <>
          <Chart x={pace.at} series={series} lines={lines} time unit={microseconds} height={150} label="Latency of both versions" />
          <Legend series={series} />
        </>
      )}
      <div className="scroll">
        <table className="ledger" style={{ marginTop: 8 }}>
          <thead>
            <tr>
              <th>Version</th>
              <th className="number">Answered</th>
              <th className="number">Scored</th>
              <th className="number">Errors</th>
              <th className="number">p50</th>
              <th className="number">p95</th>
              <th className="number">Mean score</th>
            </tr>
          </thead>
          <tbody>
            <SideRow rollout={rollout} side={champion} champion />
            <SideRow rollout={rollout} side={candidate} />
          </tbody>
        </table>
      </div>
      <p className="third" style={{ marginTop: 6 }}>
        Of the newest {count(tried.length, "answer")} that {candidateOf(rollout)} scored. {guardSaid(guard)}
      </p>
    </>
  );
}

function guardSaid(guard: Rollout["guard"]): string {
  const limits = [
    guard?.errors != null && `its errors pass ${figure(guard.errors * 100, 1)} %`,
    guard?.p95_ms != null && `its p95 passes ${guard.p95_ms} ms`,
    guard?.shift != null && `its mean score moves by ${guard.shift}`,
  ].filter(Boolean);
  return limits.length ? `The guard in serving closes it at once when ${limits.join(" or ")}.` : "No guard watches errors or latency.";
}

function SideRow({ rollout, side, champion }: { rollout: Rollout; side: Side; champion?: boolean }) {
  return (
    <tr>
      <td className="nowrap">
        <VersionLink name={rollout.model} number={side.number} /> {champion && <AliasPill>champion</AliasPill>}
      </td>
      <td className="number">{figure(side.answered)}</td>
      <td className="number">{figure(side.scored)}</td>
      <td className="number">{side.errors ? <Pill tone="bad">{figure(side.errors)}</Pill> : 0}</td>
      <td className="number">{side.p50_us === null ? "–" : microseconds(side.p50_us)}</td>
      <td className="number">{side.p95_us === null ? "–" : microseconds(side.p95_us)}</td>
      <td className="number">{figure(side.mean, 3)}</td>
    </tr>
  );
}

import type { Schemas } from "../api/client";
import { AssetLink, PredictionLink, VersionLink } from "../catalog/links";
import { figure, microseconds, moment } from "../design/format";
import { Pill } from "../design/Pill";
import { viewKey } from "./missing";
import { useWindows } from "./useWindows";
import { asked } from "./words";

type Answer = Schemas["Answer"];

export function AnswersTable({ answers }: { answers: readonly Answer[] }) {
  const windows = useWindows(answers);
  return (
    <table className="ledger" data-testid="answers">
      <thead>
        <tr>
          <th>When</th>
          <th>Prediction</th>
          <th>Model</th>
          <th>Asked</th>
          <th className="number">Said</th>
          <th className="number">Took</th>
          <th>Truth</th>
          <th>
            <span className="visually-hidden">Explain</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {answers.map((answer) => (
          <tr key={answer.prediction_id}>
            <td className="mono third nowrap" title={`answered ${moment(answer.at)}`}>
              {moment(answer.event_time ?? answer.at)}
            </td>
            <td className="nowrap">
              <PredictionLink predictionId={answer.prediction_id}>
                <span title={answer.prediction_id}>…{answer.prediction_id.slice(-8)}</span>
              </PredictionLink>
            </td>
            <td className="nowrap">
              <VersionLink name={answer.model} number={answer.number} /> <Beside answer={answer} />
            </td>
            <td className="asked" title={JSON.stringify(answer.row)}>
              <div>
                <Missing answer={answer} windows={windows} /> {asked(answer.row as Record<string, unknown>)}
              </div>
            </td>
            <td className="number">{answer.error ? <Pill tone="bad">error</Pill> : figure(answer.probability, 3)}</td>
            <td className="number">{microseconds(answer.latency_us)}</td>
            <td className="nowrap">
              <Truth truth={answer.truth} />
            </td>
            <td className="third">
              <PredictionLink predictionId={answer.prediction_id}>
                <span style={{ fontFamily: "var(--sans)", fontSize: 13 }}>explain</span>
              </PredictionLink>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** What the other version said of the same row, while one is tried. */
function Beside({ answer: { other, model, by_candidate } }: { answer: Answer }) {
  if (!other) return null;
  const said = other.error ?? figure(other.probability, 3);
  return (
    <span className="third" title={`${model}@${other.number} said ${said} in ${microseconds(other.latency_us)}`}>
      {by_candidate ? <Pill tone="info">canary</Pill> : other.error ? <Pill tone="warn">@{other.number} failed</Pill> : null}
    </span>
  );
}

/** Views that were amiss. An empty window is an answer of its own, and is told on the prediction's page only. */
function Missing({ answer, windows }: { answer: Answer; windows: ReadonlySet<string> | undefined }) {
  return answer.missing
    .filter((view) => windows && !windows.has(viewKey(view, answer.views[view] ?? 0)))
    .map((view) => (
      <span key={view} className="pill warn">
        without <AssetLink name={view} />
      </span>
    ));
}

export function Truth({ truth }: { truth: Schemas["Truth"] }) {
  if (truth.state === "known")
    return <Pill tone={truth.value ? "warn" : "ok"}>{truth.value === 1 ? "yes" : truth.value === 0 ? "no" : figure(truth.value)}</Pill>;
  const words = { waiting: "not known yet", unlabelled: "never came", none: "–" } as const;
  return <span className="third">{words[truth.state]}</span>;
}

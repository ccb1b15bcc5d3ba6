import { EndpointLink, Linked, RolloutLink, RunLink, TriggerLink, VersionLink } from "../catalog/links";
import { moment } from "../design/format";
import { Pill } from "../design/Pill";
import { AlertLink, MonitorLink } from "../monitoring/links";
import { describe, type Event, type Happening } from "./events";

/** What happened, newest first: each row with its reason and a way to its evidence. */
export function Ledger({ events }: { events: Event[] }) {
  return (
    <table className="ledger happened">
      <thead className="visually-hidden">
        <tr>
          <th>When</th>
          <th>What</th>
          <th>Why</th>
          <th>Who</th>
          <th>Evidence</th>
        </tr>
      </thead>
      <tbody>
        {events.map((event) => {
          const happening = describe(event);
          return (
            <tr key={event.sequence}>
              <td className="mono third nowrap">{moment(event.at)}</td>
              <td>
                <Pill tone={happening.tone}>{happening.word}</Pill>
              </td>
              <td className="wrap">
                <Subject of={happening} />
              </td>
              <td className="third nowrap">{happening.by || event.actor}</td>
              <td className="third nowrap">
                <Evidence of={happening} />
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Subject({ of: { text, evidence } }: { of: Happening }) {
  if (evidence?.kind !== "run") return <Linked text={text} />;
  return (
    <>
      the run <RunLink runId={evidence.subject} />
      {text && `, ${text}`}
    </>
  );
}

function Evidence({ of: { evidence } }: { of: Happening }) {
  if (!evidence) return null;
  if (evidence.kind === "run") return <RunLink runId={evidence.subject}>run</RunLink>;
  if (evidence.kind === "rollout") return <RolloutLink rolloutId={evidence.subject}>rollout</RolloutLink>;
  if (evidence.kind === "monitor") return <MonitorLink name={evidence.subject}>monitor</MonitorLink>;
  if (evidence.kind === "alert") return <AlertLink alert={{ id: Number(evidence.subject) }}>alert</AlertLink>;
  if (evidence.kind === "trigger") return <TriggerLink name={evidence.subject}>trigger</TriggerLink>;
  if (evidence.kind === "endpoint") return <EndpointLink name={evidence.subject}>endpoint</EndpointLink>;
  const [name = "", number = ""] = evidence.subject.split("@");
  return /^\d+$/.test(number) ? (
    <VersionLink name={name} number={number}>
      <span style={{ fontFamily: "var(--sans)", fontSize: 13 }}>evidence</span>
    </VersionLink>
  ) : null;
}

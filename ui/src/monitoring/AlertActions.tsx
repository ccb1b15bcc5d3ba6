import { useState } from "react";
import { useWrite } from "../api/writes";
import { Act, Ask, Reason } from "../design/Ask";
import { moment } from "../design/format";
import { useProject } from "../shell/root";
import { type Alert, causeOf } from "./looks";

/** What a person may say of an alert that is not resolved. */
export function AlertActions({ alert, small = false }: { alert: Alert; small?: boolean }) {
  if (alert.state === "resolved") return null;
  return (
    <>
      {alert.state !== "acknowledged" && <Acknowledge alert={alert} small={small} />}
      <Silence alert={alert} small={small} />
      <Resolve alert={alert} small={small} />
    </>
  );
}

function Acknowledge({ alert, small }: { alert: Alert; small: boolean }) {
  const project = useProject();
  const acknowledge = useWrite("POST", "/api/v1/projects/{project}/alerts/{alert}/acknowledge");
  return (
    <Act
      label="Acknowledge…"
      small={small}
      about={causeOf(alert)}
      title={`Take care of ${causeOf(alert)}?`}
      confirm="Acknowledge"
      withReason
      act={async (reason) => {
        await acknowledge({ project, alert: alert.id }, { reason });
        return `${alert.monitor}: ${causeOf(alert)} is acknowledged.`;
      }}
    >
      <ul className="consequences">
        <li>It stands as seen by you, and is told to nobody again.</li>
        <li>It stays until a look finds nothing, or somebody resolves it.</li>
      </ul>
    </Act>
  );
}

const SPANS: [string, string][] = [
  ["1d", "one day"],
  ["7d", "seven days"],
  ["28d", "28 days"],
];

function Silence({ alert, small }: { alert: Alert; small: boolean }) {
  const project = useProject();
  const silence = useWrite("POST", "/api/v1/projects/{project}/alerts/{alert}/silence");
  const [open, setOpen] = useState(false);
  const [duration, setDuration] = useState("7d");
  const [reason, setReason] = useState("");
  return (
    <>
      <button
        type="button"
        className={`button ${small ? "small" : ""}`}
        aria-label={`Silence… ${causeOf(alert)}`}
        onClick={() => setOpen(true)}
      >
        Silence…
      </button>
      <Ask
        open={open}
        onOpenChange={setOpen}
        title={`Hear nothing of ${causeOf(alert)} for a while?`}
        confirm="Silence"
        act={async () => {
          const { silenced_until } = await silence({ project, alert: alert.id }, { duration, reason: reason.trim() });
          return `${alert.monitor}: ${causeOf(alert)} is silent until ${moment(silenced_until)}.`;
        }}
      >
        <fieldset className="choices">
          <legend className="visually-hidden">For how long</legend>
          {SPANS.map(([value, words]) => (
            <label key={value} data-chosen={value === duration}>
              <input type="radio" name="duration" checked={value === duration} onChange={() => setDuration(value)} />
              for {words} of event time
            </label>
          ))}
        </fieldset>
        <ul className="consequences">
          <li>Then it opens anew if a look still sees it, and is told again.</li>
        </ul>
        <Reason value={reason} change={setReason} />
      </Ask>
    </>
  );
}

function Resolve({ alert, small }: { alert: Alert; small: boolean }) {
  const project = useProject();
  const resolve = useWrite("POST", "/api/v1/projects/{project}/alerts/{alert}/resolve");
  return (
    <Act
      label="Resolve…"
      small={small}
      about={causeOf(alert)}
      title={`Is ${causeOf(alert)} over?`}
      confirm="Resolve"
      withReason
      act={async (reason) => {
        await resolve({ project, alert: alert.id }, { reason });
        return `${alert.monitor}: ${causeOf(alert)} is resolved.`;
      }}
    >
      <ul className="consequences">
        <li>It is closed, with your reason, and can't be opened again.</li>
        <li>
          {alert.kind === "drift"
            ? "This change is known then and not told again; another one opens an alert of its own."
            : "If it is still so at the next look, that opens an alert of its own."}
        </li>
      </ul>
    </Act>
  );
}

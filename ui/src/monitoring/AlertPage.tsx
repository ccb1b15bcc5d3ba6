import { createRoute } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { AssetLink, EndpointLink } from "../catalog/links";
import { moment, retold } from "../design/format";
import { Facts, Heading, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { AlertActions } from "./AlertActions";
import { LooksTable } from "./LooksTable";
import { AlertState, MonitorLink } from "./links";
import { ADVICE, type Alert, causeOf, WORD_TONES } from "./looks";
import "./monitoring.css";

export const alertRoute = createRoute({ getParentRoute: () => projectRoute, path: "alerts/$alert", component: AlertPage });

const MOST = 500;
const MOST_LOOKS = 200;

/** One alert: what was found, what it means, what a person should do, and the looks behind it. */
function AlertPage() {
  const project = useProject();
  const { alert: id } = alertRoute.useParams();
  const alerts = useRead("/api/v1/projects/{project}/alerts", { project, resolved: true, limit: MOST });
  return (
    <Ready query={alerts} what="the alert">
      {({ items }) => {
        const found = items.find((alert) => String(alert.id) === id);
        return found ? <Shown alert={found} /> : <Empty title={`There is no alert ${id}`}>It may be older than the newest {MOST}.</Empty>;
      }}
    </Ready>
  );
}

function Shown({ alert }: { alert: Alert }) {
  const project = useProject();
  const monitors = useRead("/api/v1/projects/{project}/monitors", { project });
  const looks = useRead("/api/v1/projects/{project}/monitors/{name}/looks", {
    project,
    name: alert.monitor,
    kind: alert.kind,
    limit: MOST_LOOKS,
  });
  const monitor = monitors.data?.items.find((one) => one.name === alert.monitor);
  const since = Date.parse(alert.opened_at);
  const behind = looks.data?.items.filter((look) => Date.parse(look.end) >= since) ?? [];
  const before = looks.data?.items.filter((look) => Date.parse(look.end) < since).slice(0, 2) ?? [];
  return (
    <>
      <Heading
        title={
          <>
            {alert.subject || alert.monitor} <span className="third">{alert.subject ? `of ${alert.monitor}:` : "says"}</span> {alert.word}{" "}
            <AlertState alert={alert} />
          </>
        }
        actions={<AlertActions alert={alert} />}
      >
        {retold(alert.summary)}
      </Heading>
      <div className="main-and-side">
        <div className="stack">
          <Panel title="What should be done?" said={causeOf(alert)}>
            <ol className="advice">
              {ADVICE[alert.kind].map((line) => (
                <li key={line}>{line}</li>
              ))}
            </ol>
          </Panel>
          <Panel
            title="Which looks saw it?"
            said={looks.data?.next_cursor && !before.length ? `of the newest ${MOST_LOOKS}` : "newest first, and two before it opened"}
            flush
          >
            <Ready query={looks} what="the looks">
              {() => <LooksTable looks={behind} before={before} pointed={alert.look} />}
            </Ready>
          </Panel>
        </div>
        <Panel title="What is it about?">
          <Facts
            rows={[
              [
                "Word",
                <Pill key="w" tone={WORD_TONES[alert.word]}>
                  {alert.word}
                </Pill>,
              ],
              ["Kind", alert.kind],
              ["Subject", alert.subject && <Subject key="s" alert={alert} />],
              ["Monitor", <MonitorLink key="m" name={alert.monitor} />],
              ["Endpoint", monitor?.endpoint && <EndpointLink key="e" name={monitor.endpoint} />],
              ["Dataset", monitor?.dataset && <AssetLink key="d" name={monitor.dataset} />],
              ["Opened", moment(alert.opened_at)],
              ["Last seen", moment(alert.last_seen_at)],
              ["Resolved", alert.resolved_at && moment(alert.resolved_at)],
              ["Silent until", alert.silenced_until && moment(alert.silenced_until)],
              ["By", alert.by ?? (alert.state === "resolved" ? "the monitor itself" : null)],
              ["Reason", alert.reason],
            ]}
          />
        </Panel>
      </div>
    </>
  );
}

/** A view's or column's name; missing data and skew are about views, which have pages. */
function Subject({ alert }: { alert: Alert }) {
  return alert.kind === "missing" || alert.kind === "skew" ? <AssetLink name={alert.subject} /> : <code>{alert.subject}</code>;
}

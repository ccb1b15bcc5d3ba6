import { createRoute, Link } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { count, moment, retold } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { AlertActions } from "./AlertActions";
import { AlertLink, AlertState, MonitorLink } from "./links";
import { type Alert, causeOf, WORD_TONES } from "./looks";
import "./monitoring.css";

export const alertsRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "alerts",
  validateSearch: (search): { resolved?: boolean } => (search.resolved === true ? { resolved: true } : {}),
  component: AlertsPage,
});

const MOST = 200;

function AlertsPage() {
  const project = useProject();
  const { resolved = false } = alertsRoute.useSearch();
  const alerts = useRead("/api/v1/projects/{project}/alerts", { project, resolved, limit: MOST });
  return (
    <Ready query={alerts} what="the alerts">
      {({ items, next_cursor }) => (
        <>
          <Heading title={headline(items)}>
            One alert for a cause, from the look that found it to the look, the promotion or the person that resolves it.
          </Heading>
          <Panel
            title={next_cursor ? `The newest ${MOST}` : count(items.length, "alert")}
            said={resolved ? "those that are resolved too" : "that wait, or are taken care of"}
            aside={
              <Link to="." search={resolved ? {} : { resolved: true }} replace>
                {resolved ? "without those that are resolved" : "with those that are resolved"}
              </Link>
            }
            flush
          >
            {items.length ? (
              <AlertsTable alerts={items} />
            ) : (
              <Empty title="No alert waits">What monitors find and nobody has settled stands here.</Empty>
            )}
          </Panel>
        </>
      )}
    </Ready>
  );
}

function headline(alerts: readonly Alert[]): string {
  const open = alerts.filter((alert) => alert.state === "open").length;
  return open ? `${count(open, "alert")} ${open === 1 ? "waits" : "wait"} for somebody.` : "No alert waits for somebody.";
}

export function AlertsTable({ alerts, monitor = true }: { alerts: readonly Alert[]; monitor?: boolean }) {
  return (
    <table className="ledger alerts">
      <thead>
        <tr>
          <th>Alert</th>
          <th>State</th>
          <th>What was found</th>
          {monitor && <th>Monitor</th>}
          <th>Since, and last seen</th>
        </tr>
      </thead>
      <tbody>
        {alerts.map((alert) => (
          <tr key={alert.id}>
            <td className="cause">
              <Pill tone={WORD_TONES[alert.word]}>{alert.word}</Pill> <AlertLink alert={alert}>{causeOf(alert)}</AlertLink>
            </td>
            <td className="state">
              <AlertState alert={alert} />
            </td>
            <td className="wrap found second">
              {retold(alert.summary)}
              <div className="acts">
                <AlertActions alert={alert} small />
              </div>
            </td>
            {monitor && (
              <td className="nowrap">
                <MonitorLink name={alert.monitor} />
              </td>
            )}
            <td className="mono third nowrap">
              {moment(alert.opened_at)}
              <br />
              {moment(alert.last_seen_at)}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

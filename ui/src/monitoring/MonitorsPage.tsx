import { createRoute } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { AssetLink, EndpointLink } from "../catalog/links";
import { count, moment } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { MonitorLink } from "./links";
import { conclusion, WORD_TONES } from "./looks";
import "./monitoring.css";

export const monitorsRoute = createRoute({ getParentRoute: () => projectRoute, path: "monitors", component: MonitorsPage });

function MonitorsPage() {
  const project = useProject();
  const monitors = useRead("/api/v1/projects/{project}/monitors", { project });
  return (
    <>
      <Heading title="Monitors">
        Each watches an endpoint or a dataset in windows of event time, at a stated rate of false alarms, and opens an alert for what wants
        somebody.
      </Heading>
      <Ready query={monitors} what="the monitors">
        {({ items }) => (
          <Panel title={count(items.length, "monitor")} flush>
            {items.length ? (
              <table className="ledger">
                <thead>
                  <tr>
                    <th>Monitor</th>
                    <th>Watches</th>
                    <th>Words</th>
                    <th>In short</th>
                    <th className="number">Open alerts</th>
                    <th>Looked last</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((monitor) => (
                    <tr key={monitor.name}>
                      <td>
                        <MonitorLink name={monitor.name} />
                      </td>
                      <td>
                        {monitor.endpoint && <EndpointLink name={monitor.endpoint} />}
                        {monitor.dataset && <AssetLink name={monitor.dataset} />}
                      </td>
                      <td>
                        <span className="row">
                          {monitor.looks.map((look) => (
                            <span key={look.kind} className="nowrap">
                              <span className="third">{look.kind}</span> <Pill tone={WORD_TONES[look.word]}>{look.word}</Pill>
                            </span>
                          ))}
                        </span>
                      </td>
                      <td className="wrap second">{conclusion(monitor).text}</td>
                      <td className="number">{monitor.alerts ? <Pill tone="bad">{monitor.alerts}</Pill> : 0}</td>
                      <td className="mono third nowrap">
                        {moment(
                          [...monitor.looks.map((look) => look.end), ...(monitor.unjudged ? [monitor.unjudged.until] : [])].sort().at(-1),
                        )}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            ) : (
              <Empty title="Nothing is watched yet" command="clew apply">
                Declare <code>quality = clew.monitor("late_quality", service, performance=[log_loss], drift=True)</code>.
              </Empty>
            )}
          </Panel>
        )}
      </Ready>
    </>
  );
}

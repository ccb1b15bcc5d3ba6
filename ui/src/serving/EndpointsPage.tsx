import { createRoute } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { EndpointLink, VersionLink } from "../catalog/links";
import { count, moment } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";

export const endpointsRoute = createRoute({ getParentRoute: () => projectRoute, path: "endpoints", component: EndpointsPage });

function EndpointsPage() {
  const project = useProject();
  const endpoints = useRead("/api/v1/projects/{project}/endpoints", { project });
  return (
    <>
      <Heading title="Endpoints">A name that serves a model's versions by a route. The route alone decides what is served.</Heading>
      <Ready query={endpoints} what="the endpoints">
        {({ items }) => (
          <Panel title={count(items.length, "endpoint")} flush>
            {items.length ? (
              <table className="ledger">
                <thead>
                  <tr>
                    <th>Endpoint</th>
                    <th>Answers with</th>
                    <th className="number">Epoch</th>
                    <th>Since</th>
                    <th>By</th>
                  </tr>
                </thead>
                <tbody>
                  {items.map((endpoint) => (
                    <tr key={endpoint.name}>
                      <td>
                        <EndpointLink name={endpoint.name} />
                      </td>
                      <td>
                        <VersionLink name={endpoint.model} number={endpoint.number} />
                      </td>
                      <td className="number">{endpoint.epoch}</td>
                      <td className="mono third nowrap">{moment(endpoint.deployed_at)}</td>
                      <td className="third">{endpoint.deployed_by}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            ) : (
              <Empty title="Nothing is served yet" command="clew deploy <model>@champion">
                Declare <code>service = clew.endpoint("late", model=late)</code>, then deploy a version that has passed its gate.
              </Empty>
            )}
          </Panel>
        )}
      </Ready>
    </>
  );
}

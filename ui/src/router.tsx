import { createRouter } from "@tanstack/react-router";
import { assetRoute } from "./catalog/AssetPage";
import { dataRoute, featuresRoute, modelsRoute, trainingSetsRoute } from "./catalog/AssetsPage";
import { versionRoute } from "./catalog/VersionPage";
import { rolloutRoute } from "./delivery/RolloutPage";
import { triggersRoute } from "./delivery/TriggersPage";
import { Trouble } from "./design/States";
import { alertRoute } from "./monitoring/AlertPage";
import { alertsRoute } from "./monitoring/AlertsPage";
import { monitorRoute } from "./monitoring/MonitorPage";
import { monitorsRoute } from "./monitoring/MonitorsPage";
import { eventsRoute } from "./overview/EventsPage";
import { overviewRoute } from "./overview/OverviewPage";
import { endpointRoute } from "./serving/EndpointPage";
import { endpointsRoute } from "./serving/EndpointsPage";
import { predictionRoute } from "./serving/PredictionPage";
import { projectRoute, rootRoute, startRoute } from "./shell/root";
import { runRoute } from "./tracking/RunPage";
import { runsRoute } from "./tracking/RunsPage";

const tree = rootRoute.addChildren([
  startRoute,
  projectRoute.addChildren([
    overviewRoute,
    dataRoute,
    featuresRoute,
    trainingSetsRoute,
    modelsRoute,
    assetRoute,
    versionRoute,
    runsRoute,
    runRoute,
    endpointsRoute,
    endpointRoute,
    rolloutRoute,
    triggersRoute,
    monitorsRoute,
    monitorRoute,
    alertsRoute,
    alertRoute,
    predictionRoute,
    eventsRoute,
  ]),
]);

export const router = createRouter({
  routeTree: tree,
  defaultPreload: false,
  scrollRestoration: true,
  defaultErrorComponent: ({ error, reset }) => <Trouble error={error instanceof Error ? error : new Error(String(error))} retry={reset} />,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

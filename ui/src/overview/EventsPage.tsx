import { createRoute } from "@tanstack/react-router";
import { useRead } from "../api/queries";
import { count } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { Ledger } from "./Ledger";

export const eventsRoute = createRoute({ getParentRoute: () => projectRoute, path: "events", component: EventsPage });

const MOST = 500;

function EventsPage() {
  const project = useProject();
  const events = useRead("/api/v1/projects/{project}/events", { project, newest_first: true, limit: MOST });
  return (
    <>
      <Heading title="What happened">Every change in this project, newest first, with its reason and a way to its evidence.</Heading>
      <Ready query={events} what="what happened">
        {({ items }) => (
          <Panel title={items.length === MOST ? `The last ${MOST} events` : count(items.length, "event")} flush>
            {items.length ? <Ledger events={items} /> : <Empty title="Nothing has happened yet" command="clew apply" />}
          </Panel>
        )}
      </Ready>
    </>
  );
}

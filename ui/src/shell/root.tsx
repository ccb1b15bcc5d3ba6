import { useQuery } from "@tanstack/react-query";
import { createRootRoute, createRoute, Navigate, Outlet } from "@tanstack/react-router";
import { Empty, Ready } from "../design/States";
import { Layout } from "./Layout";

export interface ServerAbout {
  version: string;
  project: string;
  /** Where the serving process answers, when one runs beside the server. */
  serving_url?: string;
}

export function useServer() {
  return useQuery<ServerAbout, Error>({
    queryKey: ["server"],
    queryFn: async () => (await fetch("/api/v1/server")).json(),
    staleTime: Number.POSITIVE_INFINITY,
    meta: { fixed: true },
  });
}

export const rootRoute = createRootRoute({
  component: Outlet,
  notFoundComponent: () => (
    <Empty title="Nothing has this address">
      <a href="/">Go to the overview</a>, or press Ctrl K to find something by name.
    </Empty>
  ),
});

/** `/` leads to the project of the folder that the server was started in. */
export const startRoute = createRoute({
  getParentRoute: () => rootRoute,
  path: "/",
  component: function Start() {
    return (
      <Ready query={useServer()} what="the server's project">
        {(about) => <Navigate to="/projects/$project" params={{ project: about.project }} replace />}
      </Ready>
    );
  },
});

export const projectRoute = createRoute({ getParentRoute: () => rootRoute, path: "projects/$project", component: Layout });

export function useProject(): string {
  return projectRoute.useParams().project;
}

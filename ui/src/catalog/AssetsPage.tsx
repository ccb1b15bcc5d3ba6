import { createRoute, Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { count, moment } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { AliasPill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { AssetLink, VersionLink } from "./links";

type AssetKind = Schemas["Asset"]["kind"];

interface Kind {
  path: "data" | "features" | "training-sets" | "models";
  kind: AssetKind;
  title: string;
  about: string;
  empty: { title: string; said: string; command: string };
}

const KINDS: Kind[] = [
  {
    path: "data",
    kind: "dataset",
    title: "Data",
    about: "Datasets, each a name with numbered versions that never change.",
    empty: {
      title: "No dataset yet",
      said: "A first file becomes version 1, checked on the way in.",
      command: "clew ingest <dataset> <file>",
    },
  },
  {
    path: "features",
    kind: "feature_view",
    title: "Features",
    about: "Feature views: defined once, the same in training and in serving.",
    empty: {
      title: "No feature view yet",
      said: "Declare one with @clew.features or clew.windows, then make it known here.",
      command: "clew apply",
    },
  },
  {
    path: "training-sets",
    kind: "training_set",
    title: "Training sets",
    about: "Rows with what was known at their time, their labels, and a holdout that no model sees.",
    empty: { title: "No training set yet", said: "Building a model makes the training set that it needs.", command: "clew build <model>" },
  },
  {
    path: "models",
    kind: "model",
    title: "Models",
    about: "Every version with what made it, how it was judged, and where it serves.",
    empty: {
      title: "No model yet",
      said: "A build trains, tunes and judges one; run.register() adds one by hand.",
      command: "clew build <model>",
    },
  },
];

function AssetsPage({ of }: { of: Kind }) {
  const project = useProject();
  const assets = useRead("/api/v1/projects/{project}/assets", { project, kind: of.kind, limit: 1000 });
  return (
    <>
      <Heading title={of.title}>{of.about}</Heading>
      <Ready query={assets} what={of.title.toLowerCase()}>
        {({ items }) => (
          <Panel title={count(items.length, of.kind.replace("_", " "))} flush>
            {items.length ? (
              of.kind === "dataset" ? (
                <DatasetsTable items={items} />
              ) : (
                <AssetsTable items={items} />
              )
            ) : (
              <Empty title={of.empty.title} command={of.empty.command}>
                {of.empty.said}
              </Empty>
            )}
          </Panel>
        )}
      </Ready>
    </>
  );
}

function AssetsTable({ items }: { items: Schemas["Asset"][] }) {
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Name</th>
          <th>Newest</th>
          <th>Aliases</th>
          <th className="number">Versions</th>
          <th>Changed</th>
        </tr>
      </thead>
      <tbody>
        {items.map((asset) => (
          <tr key={asset.name}>
            <td>
              <AssetLink name={asset.name} />
            </td>
            <NewestCell asset={asset} />
            <td>
              <Aliases name={asset.name} aliases={asset.aliases} />
            </td>
            <td className="number">{asset.versions}</td>
            <td className="mono third nowrap">{moment(asset.updated_at)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The newest version of an asset; of one that has none, what is still to be done. */
function NewestCell({ asset }: { asset: Schemas["Asset"] }) {
  const waits = asset.kind === "dataset" ? "declared, no rows yet" : "declared, not built yet";
  return <td>{asset.latest ? <VersionLink name={asset.name} number={asset.latest} /> : <span className="third">{waits}</span>}</td>;
}

/** Datasets with what they hold: how much, up to when, and what waits for a version. */
function DatasetsTable({ items }: { items: Schemas["Asset"][] }) {
  const project = useProject();
  const datasets = useRead("/api/v1/projects/{project}/datasets", { project });
  const held = new Map(datasets.data?.items.map((dataset) => [dataset.name, dataset]));
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Name</th>
          <th>Newest</th>
          <th className="number">Rows</th>
          <th>From</th>
          <th>To</th>
          <th className="number">Appended since</th>
          <th className="number">Versions</th>
          <th>Changed</th>
        </tr>
      </thead>
      <tbody>
        {items.map((asset) => {
          const dataset = held.get(asset.name);
          return (
            <tr key={asset.name}>
              <td>
                <AssetLink name={asset.name} />
              </td>
              <NewestCell asset={asset} />
              <td className="number">{dataset?.latest ? dataset.rows.toLocaleString("en-US") : "–"}</td>
              <td className="mono second nowrap">{moment(dataset?.time_min)}</td>
              <td className="mono second nowrap">{moment(dataset?.time_max)}</td>
              <td className="number">{dataset?.tail_rows ? dataset.tail_rows.toLocaleString("en-US") : "–"}</td>
              <td className="number">{asset.versions}</td>
              <td className="mono third nowrap">{moment(asset.updated_at)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Aliases({ name, aliases }: { name: string; aliases: Record<string, number> }) {
  const project = useProject();
  return (
    <span className="row">
      {Object.entries(aliases).map(([alias, number]) => (
        <Link
          key={alias}
          className="plain nowrap"
          to="/projects/$project/assets/$name/$number"
          params={{ project, name, number: String(number) }}
        >
          <AliasPill>{alias}</AliasPill> <span className="mono">@{number}</span>
        </Link>
      ))}
    </span>
  );
}

function routeOf<Path extends Kind["path"]>(path: Path) {
  const of = KINDS.find((one) => one.path === path) as Kind;
  return createRoute({ getParentRoute: () => projectRoute, path, component: () => <AssetsPage of={of} /> });
}

export const dataRoute = routeOf("data");
export const featuresRoute = routeOf("features");
export const trainingSetsRoute = routeOf("training-sets");
export const modelsRoute = routeOf("models");

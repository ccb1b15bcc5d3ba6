import { createRoute, useNavigate } from "@tanstack/react-router";
import type { ReactNode } from "react";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { DatasetParts, datasetTabs } from "../datasets/DatasetVersion";
import { ago, moment, shortDigest } from "../design/format";
import { Facts, Heading, Panel } from "../design/Panel";
import { AliasPill, Pill } from "../design/Pill";
import { Ready } from "../design/States";
import { type Tab, Tabs } from "../design/Tabs";
import { FeatureViewParts, featureViewTabs, TrainingSetParts, trainingSetTabs } from "../feature_store/FeatureVersions";
import { ModelParts, modelTabs } from "../registry/ModelVersion";
import { projectRoute, useProject } from "../shell/root";
import { Lineage } from "./Lineage";
import { AssetLink, Linked, RunLink } from "./links";

export type Version = Schemas["AssetVersion"];

export const versionRoute = createRoute({
  getParentRoute: () => projectRoute,
  path: "assets/$name/$number",
  validateSearch: (search): { tab?: string; base?: number; against?: number } => ({
    ...(typeof search.tab === "string" ? { tab: search.tab } : {}),
    ...(typeof search.base === "number" ? { base: search.base } : {}),
    ...(typeof search.against === "number" ? { against: search.against } : {}),
  }),
  component: VersionPage,
});

const KIND_TABS: Record<Version["kind"], (version: Version) => Tab[]> = {
  dataset: datasetTabs,
  feature_view: featureViewTabs,
  training_set: trainingSetTabs,
  model: modelTabs,
};
const KIND_PARTS: Record<Version["kind"], (props: { version: Version; tab: string }) => ReactNode> = {
  dataset: DatasetParts,
  feature_view: FeatureViewParts,
  training_set: TrainingSetParts,
  model: ModelParts,
};

/** One version of any asset. The number may be an alias: the page shows what it names now. */
function VersionPage() {
  const project = useProject();
  const { name, number } = versionRoute.useParams();
  const version = useRead("/api/v1/projects/{project}/resolve/{reference}", { project, reference: `${name}@${number}` });
  return (
    <Ready query={version} what={`${name}@${number}`}>
      {(found) => <Shown version={found} key={found.name} />}
    </Ready>
  );
}

function Shown({ version }: { version: Version }) {
  const tabs: Tab[] = [...KIND_TABS[version.kind](version), { key: "lineage", label: "Lineage" }, { key: "about", label: "About" }];
  const { tab: wanted } = versionRoute.useSearch();
  const tab = tabs.find((one) => one.key === wanted)?.key ?? (tabs[0] as Tab).key;
  const Parts = KIND_PARTS[version.kind];
  return (
    <>
      <Heading
        title={
          <>
            {version.name}@{version.number}{" "}
            {version.aliases.map((alias) => (
              <AliasPill key={alias}>{alias}</AliasPill>
            ))}{" "}
            {version.state !== "ready" && <Pill tone="warn">{version.state.replace("_", " ")}</Pill>}
          </>
        }
        actions={<VersionPicker version={version} />}
      >
        A version of the {version.kind.replace("_", " ")} <AssetLink name={version.name} />. Why it is new:{" "}
        <Linked text={version.why.replace(/\.$/, "")} />. Made {ago(version.created_at)} by {version.created_by}.
        {version.state_reason && <> {version.state_reason}</>}
      </Heading>
      <Tabs tabs={tabs} current={tab} />
      {tab === "lineage" ? (
        <Panel title="What was it made of, and what was made of it?" flush>
          <Lineage name={version.name} number={version.number} />
        </Panel>
      ) : tab === "about" ? (
        <About version={version} />
      ) : (
        <Parts version={version} tab={tab} />
      )}
    </>
  );
}

function VersionPicker({ version }: { version: Version }) {
  const project = useProject();
  const navigate = useNavigate();
  const versions = useRead("/api/v1/projects/{project}/assets/{name}/versions", { project, name: version.name, limit: 200 });
  const numbers = (versions.data?.items ?? [version]).map((one) => ({ number: one.number, aliases: one.aliases }));
  return (
    <select
      className="field mono"
      aria-label="Version"
      value={version.number}
      onChange={(event) =>
        void navigate({
          to: "/projects/$project/assets/$name/$number",
          params: { project, name: version.name, number: event.target.value },
          search: (before) => before,
        })
      }
    >
      {numbers.map((one) => (
        <option key={one.number} value={one.number}>
          {version.name}@{one.number} {one.aliases.join(" ")}
        </option>
      ))}
    </select>
  );
}

function About({ version }: { version: Version }) {
  return (
    <div className="halves">
      <Panel title="Identity">
        <Facts
          rows={[
            ["Definition", <code key="d">{shortDigest(version.definition_digest)}</code>],
            ["Content", <code key="c">{shortDigest(version.content_digest)}</code>],
            ["Why", <Linked key="w" text={version.why} />],
            ["Run", version.run_id && <RunLink key="r" runId={version.run_id} />],
            ["Made", `${moment(version.created_at)} by ${version.created_by}`],
            ["State", version.state.replace("_", " ")],
          ]}
        />
      </Panel>
      <Panel title="Everything that is kept" flush>
        <pre className="text">{JSON.stringify(version.details, null, 2)}</pre>
      </Panel>
    </div>
  );
}

import { createRoute, Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { count, moment, shortDigest } from "../design/format";
import { Heading, Panel } from "../design/Panel";
import { AliasPill, Pill } from "../design/Pill";
import { Command, Empty, Ready, Waiting } from "../design/States";
import { projectRoute, useProject } from "../shell/root";
import { Linked, RunLink, VersionLink } from "./links";

export const assetRoute = createRoute({ getParentRoute: () => projectRoute, path: "assets/$name", component: AssetPage });

/** One asset of any kind: all versions, why each is new, and where its aliases have been. */
function AssetPage() {
  const project = useProject();
  const { name } = assetRoute.useParams();
  const versions = useRead("/api/v1/projects/{project}/assets/{name}/versions", { project, name, limit: 200 });
  const moves = useRead("/api/v1/projects/{project}/assets/{name}/aliases", { project, name });
  return (
    <>
      <Ready query={versions} what={`the versions of ${name}`}>
        {({ items }) => (
          <>
            {items[0] && (
              <Heading
                title={
                  <>
                    {name} has {count(items.length, "version")}
                  </>
                }
              >
                Newest: <Linked text={`${name}@${items[0].number}, ${items[0].why}`} />
              </Heading>
            )}
            {items[0]?.kind === "model" && <Barren model={name} />}
            {items.length ? (
              <Panel title="Versions" said="each says why it is new" flush>
                <VersionsTable items={items} />
              </Panel>
            ) : (
              <NotBuilt name={name} />
            )}
          </>
        )}
      </Ready>
      {!!moves.data?.items.length && (
        <Panel title="Where have its aliases been?" said="newest first" flush>
          <AliasHistory moves={moves.data.items} />
        </Panel>
      )}
      <Definition name={name} kind={versions.data?.items[0]?.kind} />
    </>
  );
}

/** Said of a model whose retrainings keep bringing nothing, until somebody lets a trigger try again. */
function Barren({ model }: { model: string }) {
  const project = useProject();
  const { data } = useRead("/api/v1/projects/{project}/models/{name}/retraining", { project, name: model });
  if (!data || data.improves) return null;
  return (
    <p role="note">
      <Pill tone="warn">retraining doesn’t improve it</Pill> <Linked text={data.reason} />, since {moment(data.since)}.{" "}
      <Link to="/projects/$project/triggers" params={{ project }}>
        Look at its triggers
      </Link>
      : another recipe, or other features, may do what other rows did not.
    </p>
  );
}

/** Without a version an asset is at least defined; else nothing of that name exists. */
function NotBuilt({ name }: { name: string }) {
  const project = useProject();
  const definitions = useRead("/api/v1/projects/{project}/definitions", { project });
  if (!definitions.data) return <Waiting for="what is defined" />;
  if (!definitions.data.items.some((one) => one.name === name))
    return (
      <Empty title={`Nothing here is named ${name}`}>
        Press Ctrl K to find something by a part of its name. A dataset, feature view, training set or model is there once it is applied or
        built.
      </Empty>
    );
  return (
    <Empty title={`${name} is defined, not built yet`} command={`clew build ${name}`}>
      A build makes its first version; a dataset gets its first by <Command>{`clew ingest ${name} FILE`}</Command>
    </Empty>
  );
}

function VersionsTable({ items }: { items: Schemas["AssetVersion"][] }) {
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Version</th>
          <th>Why it is new</th>
          <th>State</th>
          <th>Run</th>
          <th>Content</th>
          <th>By</th>
          <th>Made</th>
        </tr>
      </thead>
      <tbody>
        {items.map((version) => (
          <tr key={version.number}>
            <td className="nowrap">
              <VersionLink name={version.name} number={version.number} />{" "}
              {version.aliases.map((alias) => (
                <AliasPill key={alias}>{alias}</AliasPill>
              ))}
            </td>
            <td className="wrap">
              <Linked text={version.why} />
            </td>
            <td title={version.state_reason}>
              {version.state === "ready" ? (
                <span className="second">ready</span>
              ) : (
                <Pill tone="warn">{version.state.replace("_", " ")}</Pill>
              )}
            </td>
            <td>{version.run_id ? <RunLink runId={version.run_id}>run</RunLink> : <span className="third">–</span>}</td>
            <td className="mono third">{shortDigest(version.content_digest)}</td>
            <td className="third">{version.created_by}</td>
            <td className="mono third nowrap">{moment(version.created_at)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function AliasHistory({ moves }: { moves: Schemas["AliasMove"][] }) {
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>When</th>
          <th>Alias</th>
          <th>Version</th>
          <th>By</th>
        </tr>
      </thead>
      <tbody>
        {moves.map((move) => (
          <tr key={`${move.alias}-${move.at}-${move.number}`}>
            <td className="mono third nowrap">{moment(move.at)}</td>
            <td>
              <AliasPill>{move.alias}</AliasPill>
            </td>
            <td className="nowrap">
              {move.previous !== null && (
                <>
                  <VersionLink name={move.name} number={move.previous} /> →{" "}
                </>
              )}
              <VersionLink name={move.name} number={move.number} />
            </td>
            <td className="third">{move.actor}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Definition({ name, kind }: { name: string; kind: string | undefined }) {
  const project = useProject();
  const definitions = useRead("/api/v1/projects/{project}/definitions", { project, kind: kind ?? null }, { enabled: !!kind });
  const found = definitions.data?.items.find((one) => one.name === name);
  if (!found) return null;
  return (
    <Panel title="Definition" said={`as applied ${moment(found.created_at)}, ${shortDigest(found.digest)}`} flush>
      <pre className="text">{JSON.stringify(found.document, null, 2)}</pre>
    </Panel>
  );
}

import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type Schemas, ServerError } from "../api/client";
import { bytes, count, plain } from "../design/format";
import { Facts, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { useProject } from "../shell/root";
import { runRoute } from "./RunPage";

interface Manifest {
  files: { path: string; digest: string; size_bytes: number }[];
}

interface Git {
  commit: string;
  branch: string | null;
  dirty: boolean;
  remote: string | null;
}

function useBlob(digest: string | undefined) {
  const project = useProject();
  return useQuery<string, Error>({
    queryKey: ["blob", project, digest],
    queryFn: async () => {
      const response = await fetch(`/api/v1/projects/${project}/blobs/${digest}`);
      if (!response.ok) throw new ServerError("blob", `the file ${digest} could not be read (${response.status})`, response.status);
      return response.text();
    },
    enabled: !!digest,
    staleTime: Number.POSITIVE_INFINITY,
    meta: { fixed: true },
    retry: 1,
  });
}

/** Facts come as a digest, or as a document that holds one. */
function digestIn(fact: unknown): string | undefined {
  if (typeof fact === "string") return fact.startsWith("sha256:") ? fact : undefined;
  const found = fact && typeof fact === "object" ? (fact as Record<string, unknown>).digest : undefined;
  return typeof found === "string" ? found : undefined;
}

/** What a run was made in: the command, the code as it was, git, packages, machine. */
export function Code({ details }: { details: Schemas["RunDetails"] }) {
  const facts = details.facts as Record<string, unknown>;
  const git = facts.git as Git | undefined;
  const source = facts.source as Record<string, unknown> | string | undefined;
  const command = facts.command as { arguments?: string[]; folder?: string; python?: string } | undefined;
  const hardware = (facts.hardware ?? {}) as Record<string, unknown>;
  const environment = digestIn(facts.environment) ?? (typeof source === "object" ? digestIn(source?.environment) : undefined);
  const seeds = (facts.seeds ?? {}) as Record<string, unknown>;
  return (
    <>
      <div className="halves">
        <Panel title="How was it started?">
          <Facts
            rows={[
              ["Command", command?.arguments && <code key="c">{command.arguments.join(" ")}</code>],
              ["Folder", command?.folder && <code key="f">{command.folder}</code>],
              ["Python", command?.python],
              ["Seed", details.seed !== null ? String(details.seed) : null],
              [
                "Named seeds",
                Object.entries(seeds)
                  .map(([name, seed]) => `${name} ${seed}`)
                  .join(", "),
              ],
              [
                "Git",
                git && (
                  <span key="g">
                    <code>{git.commit?.slice(0, 12)}</code> {git.branch && `on ${git.branch}`}{" "}
                    {git.dirty && <Pill tone="warn">with changes that are not committed</Pill>}
                  </span>
                ),
              ],
            ]}
          />
        </Panel>
        <Panel title="On which machine?">
          <Facts
            rows={Object.entries(hardware).map(([name, value]) => [
              name.replace("_bytes", ""),
              name.endsWith("_bytes") ? bytes(Number(value)) : plain(value),
            ])}
          />
        </Panel>
      </div>
      <Source digest={digestIn(source)} />
      {environment ? (
        <Environment digest={environment} />
      ) : (
        typeof facts.environment === "string" && <EnvironmentText text={facts.environment} />
      )}
    </>
  );
}

function Source({ digest }: { digest: string | undefined }) {
  const manifest = useBlob(digest);
  if (!digest) return <Empty title="No source snapshot">A build keeps one; so does a run in a folder with a project.</Empty>;
  return (
    <Ready query={manifest} what="the code as it was">
      {(text) => <Files files={(JSON.parse(text) as Manifest).files ?? []} />}
    </Ready>
  );
}

function Files({ files }: { files: Manifest["files"] }) {
  const { file } = runRoute.useSearch();
  const shown = files.find((one) => one.path === file) ?? files.find((one) => one.path.endsWith(".py")) ?? files[0];
  const content = useBlob(shown?.digest);
  return (
    <Panel
      title="The code as it was"
      said={`${count(files.length, "file")}, ${bytes(files.reduce((sum, one) => sum + one.size_bytes, 0))}`}
      flush
    >
      <div className="files">
        <ul>
          {files.map((one) => (
            <li key={one.path}>
              <Link
                to="."
                search={(before: Record<string, unknown>) => ({ ...before, file: one.path })}
                replace
                className="mono"
                aria-current={one === shown}
              >
                {one.path}
              </Link>
            </li>
          ))}
        </ul>
        <Ready query={content} what={shown?.path ?? "the file"}>
          {(text) => <pre className="text">{text}</pre>}
        </Ready>
      </div>
    </Panel>
  );
}

function Environment({ digest }: { digest: string }) {
  const lock = useBlob(digest);
  return (
    <Ready query={lock} what="its packages">
      {(text) => <EnvironmentText text={text} />}
    </Ready>
  );
}

function EnvironmentText({ text }: { text: string }) {
  return (
    <details className="panel">
      <summary style={{ padding: "8px 12px", cursor: "pointer" }}>
        <b>Packages</b> <span className="third">{count(text.trim().split("\n").length, "distribution")}, all that were installed</span>
      </summary>
      <pre className="text">{text}</pre>
    </details>
  );
}

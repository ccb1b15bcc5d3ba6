import { Link } from "@tanstack/react-router";
import { useBlob } from "../api/blobs";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { bytes, count, plain } from "../design/format";
import { Facts, Panel } from "../design/Panel";
import { Pill } from "../design/Pill";
import { Empty, Ready } from "../design/States";
import { useProject } from "../shell/root";
import { filesIn, type SourceFile } from "./code";
import { runRoute } from "./RunPage";
import { SourceText } from "./SourceText";

interface Git {
  commit: string;
  branch: string | null;
  dirty: boolean;
  remote: string | null;
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
  const command = useCommand(details);
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
      <Source digest={digestIn(source)} run={details.run} />
      {environment ? (
        <Environment digest={environment} />
      ) : (
        typeof facts.environment === "string" && <EnvironmentText text={facts.environment} />
      )}
    </>
  );
}

interface Command {
  arguments?: string[];
  folder?: string;
  python?: string;
}

const commandOf = (details: Schemas["RunDetails"] | undefined) => (details?.facts as { command?: Command } | undefined)?.command;

/** How it was started. A trial's own process was spawned by its study's: that one's command is what a person typed. */
function useCommand(details: Schemas["RunDetails"]): Command | undefined {
  const project = useProject();
  const own = commandOf(details);
  const spawned = !!own?.arguments?.some((argument) => argument.includes("spawn_main") || argument.includes("multiprocessing"));
  const { parent } = details.run;
  const above = useRead("/api/v1/projects/{project}/runs/{run_id}", { project, run_id: parent ?? "" }, { enabled: spawned && !!parent });
  return spawned ? (commandOf(above.data) ?? own) : own;
}

/** The function that a run of a model's build calls, by the model's definition: where the source is opened. */
function useFunction(run: Schemas["RunRow"]): { file: string; qualname: string } | undefined {
  const project = useProject();
  const definitions = useRead("/api/v1/projects/{project}/definitions", { project, kind: "model" });
  const name = run.tags.model ?? run.experiment;
  const document = definitions.data?.items.find((one) => one.name === name)?.document as
    | { function?: { file: string; qualname: string } }
    | undefined;
  return document?.function;
}

function Source({ digest, run }: { digest: string | undefined; run: Schemas["RunRow"] }) {
  const called = useFunction(run);
  const manifest = useBlob(digest);
  if (!digest) return <Empty title="No source snapshot">A build keeps one; so does a run in a folder with a project.</Empty>;
  return (
    <Ready query={manifest} what="the code as it was">
      {(text) => <Files files={filesIn(text)} called={called} />}
    </Ready>
  );
}

function Files({ files, called }: { files: SourceFile[]; called: { file: string; qualname: string } | undefined }) {
  const { file, at } = runRoute.useSearch();
  const first = files.find((one) => one.path === called?.file) ?? files.find((one) => one.path.endsWith(".py")) ?? files[0];
  const shown = files.find((one) => one.path === file) ?? first;
  const pointed = file ? at : shown?.path === called?.file ? called?.qualname : undefined;
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
                search={({ at: _, ...before }: Record<string, unknown>) => ({ ...before, file: one.path })}
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
          {(text) => <SourceText text={text} at={pointed} />}
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

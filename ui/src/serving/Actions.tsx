import { useState } from "react";
import type { Schemas } from "../api/client";
import { ServerError } from "../api/client";
import { useRead } from "../api/queries";
import { useWrite } from "../api/writes";
import { Linked } from "../catalog/links";
import { type Rollout, stepTitle } from "../delivery/rollouts";
import { Act, Ask, Reason } from "../design/Ask";
import { moment } from "../design/format";
import { AliasPill, Pill, VerdictPill } from "../design/Pill";
import { Ready } from "../design/States";
import { passedAll, standing } from "../registry/judged";
import { useVerdicts } from "../registry/useVerdicts";
import { useProject } from "../shell/root";
import { rollbackTarget } from "./words";

type Version = Schemas["AssetVersion"];
type Endpoint = Schemas["Endpoint"];

const MOST = 30;

/** What a person may change about an endpoint. */
export function Actions({ endpoint }: { endpoint: Endpoint }) {
  return (
    <>
      <RollBack endpoint={endpoint} />
      <Deploy endpoint={endpoint} />
    </>
  );
}

function RollBack({ endpoint }: { endpoint: Endpoint }) {
  const project = useProject();
  const { name, model, number, epoch } = endpoint;
  const routes = useRead("/api/v1/projects/{project}/endpoints/{name}/routes", { project, name, limit: 500 });
  const roll = useWrite("POST", "/api/v1/projects/{project}/endpoints/{name}/rollback");
  const back = routes.data && rollbackTarget(routes.data.items);
  const to = back ? `${back.document.model}@${back.document.number}` : "";
  return (
    <Act
      label="Roll back…"
      tone="bad"
      title={`Roll ${name} back to ${to}?`}
      confirm={`Roll back to ${to}`}
      withReason
      unable={back ? undefined : "There is no earlier route to go back to"}
      act={async (reason) => {
        const route = await roll({ project, name }, { reason });
        return `${name} is routed to ${route.document.model}@${route.document.number}, epoch ${route.epoch}.`;
      }}
    >
      {back && (
        <ul className="consequences">
          <li>
            All requests go to {to} again, as epoch {back.epoch} had it ({moment(back.created_at)}
            {back.ungated && ", deployed without a gate"}), and no longer to {model}@{number}.
          </li>
          <li>Serving processes load it, say so, then flip as epoch {epoch + 1}. Until then they answer with what they have.</li>
          <li>
            The alias champion of {model} moves along. Nothing is deleted: {model}@{number} can be deployed again.
          </li>
        </ul>
      )}
    </Act>
  );
}

export function Deploy({ endpoint }: { endpoint: Endpoint }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button type="button" className="button" onClick={() => setOpen(true)}>
        Deploy another version…
      </button>
      {open && <DeployQuestion endpoint={endpoint} close={() => setOpen(false)} />}
    </>
  );
}

/** Which version, what its gate says of it, and what follows. */
function DeployQuestion({ endpoint, close }: { endpoint: Endpoint; close: () => void }) {
  const project = useProject();
  const { name, model, number, epoch } = endpoint;
  const versions = useRead("/api/v1/projects/{project}/assets/{name}/versions", { project, name: model, limit: MOST });
  const [picked, pick] = useState<number | null>(null);
  const [reason, setReason] = useState("");
  const [insisted, insist] = useState(false);
  const [atOnce, setAtOnce] = useState(false);
  const declared = useRead("/api/v1/projects/{project}/definitions", { project, kind: "endpoint" });
  const definition = declared.data?.items.find((one) => one.name === name)?.document as { rollout?: Rollout["steps"] } | undefined;
  const steps = definition?.rollout ?? [];
  const stepwise = steps.length > 0 && !atOnce;
  const [refused, setRefused] = useState(false);
  const others = versions.data?.items.filter((one) => one.number !== number) ?? [];
  const chosen = others.find((one) => one.number === picked) ?? others[0];
  const verdicts = useVerdicts(chosen);
  const found = verdicts.data?.items ?? [];
  const stopped = refused || (verdicts.isSuccess && !(passedAll(found) && chosen?.state === "ready"));
  const gated = useWrite("POST", "/api/v1/projects/{project}/endpoints/{name}/deploy");
  const ungated = useWrite("POST", "/api/v1/projects/{project}/endpoints/{name}/deploy-ungated");
  const gatedSteps = useWrite("POST", "/api/v1/projects/{project}/endpoints/{name}/rollouts");
  const ungatedSteps = useWrite("POST", "/api/v1/projects/{project}/endpoints/{name}/rollouts-ungated");
  const reference = chosen ? `${model}@${chosen.number}` : "";
  const act = async () => {
    try {
      if (stepwise) {
        const rollOut = stopped ? ungatedSteps : gatedSteps;
        await rollOut({ project, name }, { reference, reason: reason.trim() });
        return `${reference} is on its way behind ${name}.`;
      }
      const deploy = stopped ? ungated : gated;
      const route = await deploy({ project, name }, { reference, reason: reason.trim() });
      return `${name} is routed to ${route.document.model}@${route.document.number}, epoch ${route.epoch}.`;
    } catch (error) {
      if (error instanceof ServerError && error.code === "refused") setRefused(true);
      throw error;
    }
  };
  return (
    <Ask
      open
      onOpenChange={(next) => !next && close()}
      title={`Which version shall ${name} answer with?`}
      confirm={`${stepwise ? "Roll out" : "Deploy"} ${reference}${stopped ? " ungated" : ""}`}
      {...(stopped ? { tone: "bad" as const } : {})}
      ready={!!chosen && verdicts.isSuccess && (!stopped || (insisted && reason.trim() !== ""))}
      act={act}
    >
      <Ready query={versions} what={`the versions of ${model}`}>
        {() =>
          chosen ? (
            <>
              <fieldset className="choices">
                <legend className="visually-hidden">Version</legend>
                {others.map((version) => (
                  <Choice
                    key={version.number}
                    version={version}
                    chosen={version === chosen}
                    pick={() => {
                      pick(version.number);
                      insist(false);
                      setRefused(false);
                    }}
                  />
                ))}
              </fieldset>
              <section className="gate-word" aria-label={`What its gate says of ${reference}`} aria-live="polite">
                <Ready query={verdicts} what="what its gate says">
                  {() => <GateWord version={chosen} verdicts={found} />}
                </Ready>
              </section>
              {stepwise ? (
                <ul className="consequences">
                  <li>
                    It is tried beside {model}@{number} first: {steps.map((step) => stepTitle(step).toLowerCase()).join(", then ")}. Both
                    score every request.
                  </li>
                  <li>The endpoint's guard watches, and takes it off by itself if it does harm; after the last step it answers all.</li>
                </ul>
              ) : (
                <ul className="consequences">
                  <li>
                    All requests go to {reference} and no longer to {model}@{number}, once serving processes have loaded it, as epoch{" "}
                    {epoch + 1}.
                  </li>
                  <li>
                    The alias champion of {model} moves along; a rollback brings {model}@{number} back.
                  </li>
                </ul>
              )}
              {steps.length > 0 && (
                <label className="row">
                  <input type="checkbox" checked={atOnce} onChange={(event) => setAtOnce(event.target.checked)} />
                  At once, without the steps that {name} declares
                </label>
              )}
              {stopped && (
                <label className="row">
                  <input type="checkbox" checked={insisted} onChange={(event) => insist(event.target.checked)} />
                  Deploy it all the same, without a gate's word; the audit log keeps who did
                </label>
              )}
              <Reason value={reason} change={setReason} demanded={stopped} />
            </>
          ) : (
            <p className="second">
              {model} has no version but {model}@{number}. A build makes the next: <code>clew build {model}</code>
            </p>
          )
        }
      </Ready>
    </Ask>
  );
}

function Choice({ version, chosen, pick }: { version: Version; chosen: boolean; pick: () => void }) {
  return (
    <label data-chosen={chosen}>
      <input type="radio" name="version" checked={chosen} onChange={pick} />
      <span className="mono nowrap">
        {version.name}@{version.number}
      </span>
      {version.aliases.map((alias) => (
        <AliasPill key={alias}>{alias}</AliasPill>
      ))}
      {version.state !== "ready" && <Pill tone="warn">{version.state.replace("_", " ")}</Pill>}
      <span className="third clip" title={version.why}>
        {version.why}
      </span>
    </label>
  );
}

function GateWord({ version, verdicts }: { version: Version; verdicts: readonly Schemas["GateVerdict"][] }) {
  const newest = standing(verdicts);
  return (
    <>
      {version.state_reason && <p className="second">{version.state_reason}</p>}
      {newest.map((verdict) => (
        <p key={verdict.gate}>
          <VerdictPill word={verdict.word} passed={verdict.passed} /> <code>{verdict.gate}</code>, of {verdict.model}@{verdict.number}:{" "}
          <Linked text={verdict.reason} />
        </p>
      ))}
      {!newest.length && (
        <p>
          <Pill tone="warn">not judged</Pill> No gate has looked at {version.name}@{version.number}.
        </p>
      )}
    </>
  );
}

import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { RunLink, VersionLink } from "../catalog/links";
import { count, figure, moment, shortDigest } from "../design/format";
import { Facts, Panel } from "../design/Panel";
import { Empty, Ready } from "../design/States";
import type { Tab } from "../design/Tabs";
import { useProject } from "../shell/root";
import { Markdown } from "./Markdown";
import { useVerdicts } from "./useVerdicts";
import { Verdict } from "./Verdict";

type Version = Schemas["AssetVersion"];
type Details = Schemas["ModelDetails"];

export function modelTabs(version: Version): Tab[] {
  const details = version.details as unknown as Details;
  if (details.external)
    return [
      { key: "system", label: "System" },
      { key: "card", label: "Card" },
    ];
  return [
    { key: "gate", label: "Gate" },
    { key: "recipe", label: "Recipe" },
    { key: "signature", label: "Signature", count: details.signature?.inputs.length },
    { key: "card", label: "Card" },
  ];
}

export function ModelParts({ version, tab }: { version: Version; tab: string }) {
  if (tab === "system") return <System version={version} />;
  if (tab === "recipe") return <Recipe version={version} />;
  if (tab === "signature") return <SignaturePart version={version} />;
  if (tab === "card") return <Card version={version} />;
  return <Gate version={version} />;
}

/** A version that is a scoring service of somebody's own: no gate, no recipe and no export of it is known here. */
function System({ version }: { version: Version }) {
  const { external, training_set, flavor } = version.details as unknown as Details;
  if (!external) return null;
  return (
    <Panel title="What answers?" said="an existing system, which Clew asks row by row">
      <Facts
        rows={[
          ["Address", <code key="u">{external.url}</code>],
          ["Flavor", flavor],
          ["Its answer", external.answer ? <code key="a">{external.answer}</code> : "the whole body"],
          ["Within", `${(external.timeout_ms ?? 1000).toLocaleString("en-US")} ms a row`],
          ["Token", external.token_env && <code key="e">${external.token_env}</code>],
          [
            "Asked as",
            training_set ? (
              <VersionLink key="t" name={training_set.name} number={training_set.number} />
            ) : (
              "no training set says what is asked: it answers, and nothing can be tried beside it"
            ),
          ],
        ]}
      />
    </Panel>
  );
}

/** What the gate found. A refit was not judged itself: its verdict is that of the version which it is the refit of. */
function Gate({ version }: { version: Version }) {
  const { refit_of } = version.details as unknown as Details;
  const verdicts = useVerdicts(version);
  return (
    <>
      {refit_of && (
        <p className="second">
          This version is the refit, up to the cut-off, of <VersionLink name={refit_of.name} number={refit_of.number} />, which is what the
          gate looked at.
        </p>
      )}
      <Ready query={verdicts} what="what the gate found">
        {({ items }) =>
          items.length ? (
            items.map((verdict) => <Verdict key={verdict.at} verdict={verdict} />)
          ) : (
            <Empty title="No gate has judged this version" command={`clew build ${version.name}`}>
              A gate is declared with <code>@clew.gate(…)</code> and runs with the next build. Without one, only <code>--ungated</code>{" "}
              deploys it.
            </Empty>
          )
        }
      </Ready>
    </>
  );
}

function Recipe({ version }: { version: Version }) {
  const details = version.details as unknown as Details;
  return (
    <div className="halves">
      <Panel title="What was it trained with?">
        <Facts
          rows={[
            ...Object.entries(details.parameters ?? {}).map(([name, value]): [string, React.ReactNode] => [
              name,
              <span key={name} className="mono">
                {typeof value === "number" ? figure(value) : String(value)}
              </span>,
            ]),
            ["Run", version.run_id && <RunLink key="r" runId={version.run_id} />],
            ["Code", details.source && <code key="s">{shortDigest(details.source)}</code>],
            [
              "Libraries",
              Object.entries(details.libraries ?? {})
                .map(([name, at]) => `${name} ${at}`)
                .join(", "),
            ],
          ]}
        />
      </Panel>
      <Panel title="What was it made of?">
        <Facts
          rows={[
            [
              "Training set",
              details.training_set && <VersionLink key="t" name={details.training_set.name} number={details.training_set.number} />,
            ],
            ["Rows", details.trained_from && `${moment(details.trained_from)} to ${moment(details.trained_to)}`],
            ["Has seen", details.seen_until && `rows up to ${moment(details.seen_until)}, its tuning included; no gate may touch them`],
            [
              "Views",
              <span key="v" className="row">
                {(details.views ?? []).map((used) => (
                  <VersionLink key={`${used.view}${used.prefix}`} name={used.view} number={used.number} />
                ))}
              </span>,
            ],
            ...Object.entries(details.metrics ?? {}).map(([name, value]): [string, React.ReactNode] => [
              `${name}, in its run`,
              <span key={name} className="mono">
                {figure(value)}
              </span>,
            ]),
          ]}
        />
      </Panel>
    </div>
  );
}

function SignaturePart({ version }: { version: Version }) {
  const { signature, verification, flavor } = version.details as unknown as Details;
  return (
    <>
      <Panel title="Does the served model answer as the trained one?">
        <p>
          Yes: its ONNX export answers as the {flavor} original within <code>{verification.largest_difference.toExponential(1)}</code> (at
          most <code>{verification.tolerance.toExponential(0)}</code> is let through) on {count(verification.rows, "real row")},{" "}
          {figure(verification.rows_with_missing)} of them with missing values.
        </p>
      </Panel>
      <div className="halves">
        <Panel title="Takes" said={`${signature.inputs.length} features, by name`} flush>
          <Fields fields={signature.inputs} />
        </Panel>
        <Panel title="Answers" flush>
          <Fields fields={signature.outputs} />
        </Panel>
      </div>
    </>
  );
}

function Fields({ fields }: { fields: readonly Schemas["Field"][] }) {
  return (
    <table className="ledger">
      <tbody>
        {fields.map((one) => (
          <tr key={one.name}>
            <td className="mono">{one.name}</td>
            <td className="mono third">{one.dtype}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Card({ version }: { version: Version }) {
  const project = useProject();
  const card = useRead("/api/v1/projects/{project}/models/{name}/versions/{number}/card", {
    project,
    name: version.name,
    number: version.number,
  });
  return (
    <Ready query={card} what="its card">
      {(found) => (
        <Panel title="Model card" said="written from what is recorded">
          <Markdown text={found.markdown} />
        </Panel>
      )}
    </Ready>
  );
}

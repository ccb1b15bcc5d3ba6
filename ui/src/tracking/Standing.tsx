import { Link } from "@tanstack/react-router";
import type { Schemas } from "../api/client";
import { useRead } from "../api/queries";
import { RunLink } from "../catalog/links";
import { figure } from "../design/format";
import { Panel } from "../design/Panel";
import { Spread } from "../design/Spread";
import { useProject } from "../shell/root";
import type { RunRow } from "./columns";
import { among, type Direction, standingOf, valuesOf } from "./standing";

const MOST = 1000;

/** The runs that a run is to be seen among: the trials of its study, or else its experiment. */
function useSiblings(run: RunRow) {
  const project = useProject();
  const filter = run.parent ? `parent = "${run.parent}"` : run.experiment ? `experiment = ${JSON.stringify(run.experiment)}` : null;
  const found = useRead("/api/v1/projects/{project}/runs", { project, filter, limit: MOST }, { enabled: !!filter });
  return { filter, siblings: filter ? (found.data?.items ?? []) : [] };
}

/** Which metric a study was about, and which way is better. */
function useAim(run: RunRow): { metric: string; direction: Direction } | null {
  const project = useProject();
  const parent = useRead("/api/v1/projects/{project}/runs/{run_id}", { project, run_id: run.parent ?? "" }, { enabled: !!run.parent });
  const { metric, direction } = (parent.data?.run.params ?? {}) as { metric?: unknown; direction?: unknown };
  if (typeof metric !== "string" || (direction !== "maximize" && direction !== "minimize")) return null;
  return { metric, direction };
}

/** Metrics with one value: the value, and where it stands among the runs beside it. */
export function Standing({ run, metrics }: { run: RunRow; metrics: [string, Schemas["MetricSummary"]][] }) {
  const project = useProject();
  const { filter, siblings } = useSiblings(run);
  const aim = useAim(run);
  const compared = metrics.some(([name]) => valuesOf(siblings, name).length > 1);
  return (
    <Panel
      title={compared ? "Where does it stand?" : "Values"}
      said={compared ? among(siblings.length, !!run.parent) : undefined}
      aside={
        filter && compared ? (
          <Link to="/projects/$project/runs" params={{ project }} search={{ filter }}>
            all of them
          </Link>
        ) : undefined
      }
      flush
    >
      <div className="curves-clip">
        <div className="curves values">
          {metrics.map(([name, { last }]) => (
            <Value
              key={name}
              run={run}
              name={name}
              value={last}
              siblings={siblings}
              direction={aim?.metric === name ? aim.direction : undefined}
            />
          ))}
        </div>
      </div>
    </Panel>
  );
}

interface ValueProps {
  run: RunRow;
  name: string;
  value: number | null;
  siblings: readonly RunRow[];
  direction: Direction;
}

function Value({ run, name, value, siblings, direction }: ValueProps) {
  const all = valuesOf(siblings, name);
  const others = all.filter((one) => one.run.id !== run.id);
  const best = direction && [...all].sort((a, b) => (direction === "maximize" ? b.value - a.value : a.value - b.value))[0];
  return (
    <section>
      <h3 title={name}>{name}</h3>
      <p className="value">
        <span className="big">{value === null ? "not a number" : figure(value)}</span>{" "}
        <span className="second">
          {value !== null &&
            standingOf(
              value,
              all.map((one) => one.value),
              direction,
            )}
        </span>
        {best && best.run.id !== run.id && (
          <span className="third">
            {" · best "}
            <RunLink runId={best.run.id}>{best.run.name}</RunLink> {figure(best.value)}
          </span>
        )}
      </p>
      {value !== null && others.length > 0 && (
        <Spread
          label={name}
          marks={[...others.map((one) => ({ label: one.run.name, value: one.value })), { label: run.name, value, token: "series-1" }]}
        />
      )}
    </section>
  );
}

/** Metrics with one value in each of the selected runs: a dot for each in its colour, the other runs faint behind them. */
export function Spreads({ selected, runs }: { selected: { run: RunRow; token: string }[]; runs: readonly RunRow[] }) {
  const names = [
    ...new Set(selected.flatMap(({ run }) => Object.keys(run.metrics).filter((name) => !(name in (run.minimum ?? {}))))),
  ].sort();
  const chosen = new Set(selected.map(({ run }) => run.id));
  if (!names.length) return null;
  return (
    <div className="curves-clip">
      <div className="curves values">
        {names.map((name) => {
          const pointed = selected.flatMap(({ run, token }) => {
            const value = run.metrics[name];
            return typeof value === "number" ? [{ label: run.name, value, token }] : [];
          });
          const others = valuesOf(runs, name).filter((one) => !chosen.has(one.run.id));
          if (!pointed.length) return null;
          return (
            <section key={name}>
              <h3 title={name}>{name}</h3>
              <Spread label={name} marks={[...others.map((one) => ({ label: one.run.name, value: one.value })), ...pointed]} />
            </section>
          );
        })}
      </div>
    </div>
  );
}

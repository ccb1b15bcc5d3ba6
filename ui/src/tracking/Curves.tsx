import { useMemo } from "react";
import { Chart } from "../design/Chart";
import { bytes } from "../design/format";
import { Empty } from "../design/States";
import { type Axis, aligned, curveNames, type RunCurves } from "./curves";

interface CurvesProps {
  runs: RunCurves[];
  axis: Axis;
  smoothing: number;
  names?: string[];
}

/** One small chart for each metric, with all runs in it; their cursors move together. */
export function Curves({ runs, axis, smoothing, names }: CurvesProps) {
  const shown = names ?? curveNames(runs);
  if (!shown.length)
    return (
      <Empty title="Nothing was logged" command="run.log(loss=0.31, step=1)">
        A metric that is logged more than once gets its curve here, live; one value alone is shown among its like.
      </Empty>
    );
  return (
    <div className="curves-clip">
      <div className="curves">
        {shown.map((name) => (
          <One key={name} runs={runs} name={name} axis={axis} smoothing={smoothing} />
        ))}
      </div>
    </div>
  );
}

function One({ runs, name, axis, smoothing }: CurvesProps & { name: string }) {
  const { x, series } = useMemo(() => aligned(runs, name, axis, smoothing), [runs, name, axis, smoothing]);
  return (
    <section>
      <h3 title={name}>{name}</h3>
      <Chart
        x={x}
        series={series}
        height={132}
        group={`curves-${axis}`}
        label={`${name} by ${axis}`}
        {...(name.endsWith("_bytes") ? { unit: bytes } : {})}
      />
    </section>
  );
}

interface CurveToolsProps {
  axis: Axis;
  smoothing: number;
  change: (change: { axis?: Axis; smoothing?: number }) => void;
}

export function CurveTools({ axis, smoothing, change }: CurveToolsProps) {
  return (
    <span className="row">
      <button
        type="button"
        className="button quiet"
        style={{ height: 20 }}
        onClick={() => change({ axis: axis === "step" ? "time" : "step" })}
      >
        x: {axis === "step" ? "step" : "seconds"}
      </button>
      <label className="row">
        smoothing
        <input
          type="range"
          min={0}
          max={0.95}
          step={0.05}
          value={smoothing}
          style={{ width: 70, accentColor: "var(--accent)" }}
          onChange={(event) => change({ smoothing: Number(event.target.value) })}
        />
      </label>
    </span>
  );
}

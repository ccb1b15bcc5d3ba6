import { percent } from "../design/format";

interface Bin {
  predicted: number;
  observed: number;
  low: number;
  high: number;
  rows: number;
}

const SIDE = 260;

/** What was said against what came, with intervals over blocks; on the diagonal they are the same. */
export function Calibration({ bins }: { bins: Bin[] }) {
  const top = Math.min(1, Math.ceil(Math.max(...bins.flatMap((bin) => [bin.predicted, bin.high])) * 10) / 10);
  const place = (value: number) => (Math.max(0, value) / top) * SIDE;
  const marks = [0, top / 2, top];
  return (
    <svg
      viewBox={`-44 -8 ${SIDE * 1.7 + 60} ${SIDE + 44}`}
      className="interval"
      role="img"
      aria-label="Calibration: what was said against what came"
      style={{ maxHeight: 300 }}
    >
      {marks.map((mark) => (
        <g key={mark}>
          <line x1={0} x2={SIDE * 1.7} y1={SIDE - place(mark)} y2={SIDE - place(mark)} stroke="var(--line)" />
          <text x={-6} y={SIDE - place(mark) + 4} textAnchor="end">
            {percent(mark)}
          </text>
          <text x={place(mark) * 1.7} y={SIDE + 16} textAnchor="middle">
            {percent(mark)}
          </text>
        </g>
      ))}
      <line x1={0} y1={SIDE} x2={SIDE * 1.7} y2={0} stroke="var(--strong-line)" strokeDasharray="4 4" />
      {bins.map((bin) => (
        <g key={bin.predicted}>
          <line
            x1={place(bin.predicted) * 1.7}
            x2={place(bin.predicted) * 1.7}
            y1={SIDE - place(bin.low)}
            y2={SIDE - place(bin.high)}
            stroke="var(--series-1)"
            strokeWidth={1.5}
          />
          <circle cx={place(bin.predicted) * 1.7} cy={SIDE - place(bin.observed)} r={3.6} fill="var(--series-1)">
            <title>{`said ${percent(bin.predicted)}, came ${percent(bin.observed)} (${percent(bin.low)} to ${percent(bin.high)}; ${bin.rows.toLocaleString("en-US")} rows)`}</title>
          </circle>
        </g>
      ))}
      <text x={SIDE * 0.85} y={SIDE + 32} textAnchor="middle">
        said
      </text>
      <text x={4} y={4} textAnchor="start">
        came
      </text>
    </svg>
  );
}

import { signed } from "./format";

export interface IntervalFigures {
  estimate: number;
  low: number;
  high: number;
  level: number;
  blocks: number;
  rows: number;
}

/** The range that an axis needs to hold all of them, with air at both ends. */
export function axisRange(values: number[]): [number, number] {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const air = (high - low || Math.abs(high) || 1) * 0.14;
  return [low - air, high + air];
}

interface IntervalProps {
  figures: IntervalFigures;
  /** The line that decides; the whole interval must lie right of it. */
  line?: number;
  lineLabel?: string;
  zero?: boolean;
  passed?: boolean;
  label: string;
}

const WIDTH = 420;

/** An estimate with its interval, the line that decides, and where zero is. */
export function Interval({ figures, line, lineLabel, zero, passed = true, label }: IntervalProps) {
  const marks = [figures.low, figures.high, ...(line === undefined ? [] : [line]), ...(zero ? [0] : [])];
  const [from, to] = axisRange(marks);
  const x = (value: number) => ((value - from) / (to - from)) * WIDTH;
  const tone = passed ? "var(--ok)" : "var(--bad)";
  const written = zero ? (value: number) => signed(value) : (value: number) => value.toFixed(3);
  const said = `${label}: ${written(figures.estimate)}, ${Math.round(figures.level * 100)} % ${written(figures.low)} to ${written(figures.high)}`;
  return (
    <svg className="interval" viewBox={`-4 0 ${WIDTH + 8} 62`} role="img" aria-label={said}>
      <line x1={0} x2={WIDTH} y1={32} y2={32} stroke="var(--line)" />
      {zero && (
        <g>
          <line x1={x(0)} x2={x(0)} y1={18} y2={46} stroke="var(--strong-line)" />
          <text x={x(0)} y={59} textAnchor="middle">
            0
          </text>
        </g>
      )}
      {line !== undefined && (
        <g>
          <line x1={x(line)} x2={x(line)} y1={14} y2={46} stroke="var(--bad)" strokeDasharray="3 3" />
          <text
            x={x(line)}
            y={10}
            textAnchor={x(line) > WIDTH * 0.7 ? "end" : x(line) < WIDTH * 0.3 ? "start" : "middle"}
            style={{ fill: "var(--bad)" }}
          >
            {lineLabel ?? written(line)}
          </text>
        </g>
      )}
      <line
        x1={x(figures.low)}
        x2={x(figures.high)}
        y1={32}
        y2={32}
        stroke={tone}
        strokeWidth={7}
        strokeOpacity={0.28}
        strokeLinecap="round"
      />
      <line x1={x(figures.low)} x2={x(figures.high)} y1={32} y2={32} stroke={tone} strokeWidth={1.5} />
      <circle cx={x(figures.estimate)} cy={32} r={4} fill={tone} />
      <text x={x(figures.estimate)} y={24} textAnchor="middle" style={{ fill: "var(--ink)" }}>
        {written(figures.estimate)}
      </text>
      <text x={x(figures.low)} y={50} textAnchor="middle">
        {written(figures.low)}
      </text>
      <text x={x(figures.high)} y={50} textAnchor="middle">
        {written(figures.high)}
      </text>
    </svg>
  );
}

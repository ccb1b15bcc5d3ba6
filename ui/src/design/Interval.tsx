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

/** Closer than this, in percent of the width, the labels of both ends would overlap and turn outwards. */
const NARROW = 26;

/** An estimate with its interval, the line that decides, and where zero is. Places are percentages, so that text keeps its size. */
export function Interval({ figures, line, lineLabel, zero, passed = true, label }: IntervalProps) {
  const marks = [figures.low, figures.high, ...(line === undefined ? [] : [line]), ...(zero ? [0] : [])];
  const [from, to] = axisRange(marks);
  const percent = (value: number) => ((value - from) / (to - from)) * 100;
  const x = (value: number) => `${percent(value)}%`;
  const outwards = percent(figures.high) - percent(figures.low) < NARROW;
  const tone = passed ? "var(--ok)" : "var(--bad)";
  const written = zero ? (value: number) => signed(value) : (value: number) => value.toFixed(3);
  const said = `${label}: ${written(figures.estimate)}, ${Math.round(figures.level * 100)} % ${written(figures.low)} to ${written(figures.high)}`;
  return (
    <svg className="interval" width="100%" height={64} role="img" aria-label={said}>
      <line x1="0" x2="100%" y1={34} y2={34} stroke="var(--line)" />
      {zero && (
        <g>
          <line x1={x(0)} x2={x(0)} y1={20} y2={48} stroke="var(--strong-line)" />
          <text x={x(0)} y={61} textAnchor="middle">
            0
          </text>
        </g>
      )}
      {line !== undefined && (
        <g>
          <line x1={x(line)} x2={x(line)} y1={14} y2={48} stroke="var(--bad)" strokeDasharray="3 3" />
          <text
            x={x(line)}
            y={10}
            textAnchor={percent(line) > 70 ? "end" : percent(line) < 30 ? "start" : "middle"}
            style={{ fill: "var(--bad)" }}
          >
            {lineLabel ?? written(line)}
          </text>
        </g>
      )}
      <line
        x1={x(figures.low)}
        x2={x(figures.high)}
        y1={34}
        y2={34}
        stroke={tone}
        strokeWidth={7}
        strokeOpacity={0.28}
        strokeLinecap="round"
      />
      <line x1={x(figures.low)} x2={x(figures.high)} y1={34} y2={34} stroke={tone} strokeWidth={1.5} />
      <circle cx={x(figures.estimate)} cy={34} r={4} fill={tone} />
      <text x={x(figures.estimate)} y={26} textAnchor="middle" style={{ fill: "var(--ink)" }}>
        {written(figures.estimate)}
      </text>
      <text x={x(figures.low)} y={52} textAnchor={outwards ? "end" : "middle"}>
        {written(figures.low)}
      </text>
      <text x={x(figures.high)} y={52} textAnchor={outwards ? "start" : "middle"}>
        {written(figures.high)}
      </text>
    </svg>
  );
}

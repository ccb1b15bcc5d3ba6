import { figure } from "./format";

export interface Mark {
  label: string;
  value: number;
  /** The colour of one that is pointed out; the others are faint. */
  token?: string;
}

const MOST_FAINT = 150;

/** Of very many, some evenly by rank: the eye sees the same, and the page stays light. */
export function thinned(marks: Mark[]): Mark[] {
  if (marks.length <= MOST_FAINT) return marks;
  const sorted = [...marks].sort((a, b) => a.value - b.value);
  return Array.from({ length: MOST_FAINT }, (_, at) => sorted[Math.round((at * (sorted.length - 1)) / (MOST_FAINT - 1))] as Mark);
}

/** Where some values stand among all: a dot for each on one line, those pointed out in their colours. */
export function Spread({ marks, label }: { marks: Mark[]; label: string }) {
  const [low, high] = marks.reduce(([least, most], { value }) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity]);
  const reach = high - low;
  const x = (value: number) => `${reach ? 2 + ((value - low) / reach) * 96 : 50}%`;
  const faint = thinned(marks.filter((mark) => !mark.token));
  const pointed = marks.filter((mark) => mark.token);
  const said = pointed.map((mark) => `${mark.label} ${figure(mark.value)}`).join(", ");
  return (
    <svg
      className="interval"
      width="100%"
      height={44}
      role="img"
      aria-label={`${label}: ${said}; all from ${figure(low)} to ${figure(high)}`}
    >
      <line x1="0" x2="100%" y1={16} y2={16} stroke="var(--line)" />
      {faint.map((mark, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: two runs may have one name and one value
        <circle key={index} cx={x(mark.value)} cy={16} r={4} fill="var(--third)" fillOpacity={faint.length < MOST_FAINT ? 0.4 : 0.16}>
          <title>{`${mark.label} ${figure(mark.value)}`}</title>
        </circle>
      ))}
      {pointed.map((mark, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: as above
        <circle key={index} cx={x(mark.value)} cy={16} r={5.5} fill={`var(--${mark.token})`} stroke="var(--surface)" strokeWidth={1.5}>
          <title>{`${mark.label} ${figure(mark.value)}`}</title>
        </circle>
      ))}
      {reach > 0 && (
        <>
          <text x="0" y={40} textAnchor="start">
            {figure(low)}
          </text>
          <text x="100%" y={40} textAnchor="end">
            {figure(high)}
          </text>
        </>
      )}
    </svg>
  );
}

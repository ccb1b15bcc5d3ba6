import { figure } from "./format";

export interface Mark {
  label: string;
  value: number;
  /** The colour of one that is pointed out; the others are faint. */
  token?: string;
}

/** Where some values stand among all: a dot for each on one line, those pointed out in their colours. */
export function Spread({ marks, label }: { marks: Mark[]; label: string }) {
  const values = marks.map((mark) => mark.value);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = high - low;
  const x = (value: number) => `${reach ? 2 + ((value - low) / reach) * 96 : 50}%`;
  const faint = marks.filter((mark) => !mark.token);
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
        <circle key={index} cx={x(mark.value)} cy={16} r={4} fill="var(--third)" fillOpacity={0.4}>
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

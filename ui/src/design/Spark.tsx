/** A line through two or three values says nothing. */
const ENOUGH = 4;

/** A small curve without axes: the shape of the last values, said in words for who can't see it. */
export function Spark({ values, token = "series-1", label }: { values: number[]; token?: string; label: string }) {
  if (values.length < ENOUGH) return null;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const reach = high - low || 1;
  const points = values.map(
    (value, index) => `${((index / (values.length - 1)) * 100).toFixed(2)},${(26 - ((value - low) / reach) * 22).toFixed(2)}`,
  );
  return (
    <svg className="spark" viewBox="0 0 100 30" preserveAspectRatio="none" role="img" aria-label={label}>
      <polyline points={points.join(" ")} fill="none" stroke={`var(--${token})`} strokeWidth={1.5} vectorEffect="non-scaling-stroke" />
    </svg>
  );
}

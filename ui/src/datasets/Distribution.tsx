import { count, figure, percent } from "../design/format";
import { axisOf, type Bar, barsOf, barsOfValues, type ColumnProfile, categoriesOf, missingTold, valueSaid } from "./profiles";
import "./datasets.css";

const [WIDTH, HEIGHT] = [260, 44];

interface DistributionProps {
  column: ColumnProfile;
  before: ColumnProfile | undefined;
  /** What `before` is, in words: `@1`. */
  than?: string;
}

/** What a column holds, with what it held before as a line: a histogram, or the heaviest values of a category. */
export function Distribution({ column, before, than }: DistributionProps) {
  if (column.bins.kind === "category") return <Categories column={column} before={before} />;
  const axis = axisOf(column, before);
  if (!axis) return <span className="third">{column.bins.kind === "other" ? "there or missing; values have no bins" : "no value"}</span>;
  return (
    <figure className="histogram">
      <Bars of={column} bars={barsOf(column, axis)} earlier={before ? barsOf(before, axis) : []} than={than} />
      <figcaption className="mono third">
        <span>{valueSaid(column, axis[0])}</span>
        <span>{valueSaid(column, axis[1])}</span>
      </figcaption>
    </figure>
  );
}

/** The same in one line of a table: a category has its values side by side, and what is missing stands in the middle. */
export function SmallDistribution({ column, before, than }: DistributionProps) {
  const axis = axisOf(column, before);
  const values = axis ? null : barsOfValues(column, before);
  const [from, to] = axis ? axis.map((end) => valueSaid(column, end)) : [values?.names[0], values?.names.at(-1)];
  if (!axis && !values?.bars.length) return <span className="third">no value</span>;
  const missing = missingTold(column, before);
  return (
    <figure className="histogram small">
      <Bars
        of={column}
        bars={axis ? barsOf(column, axis) : (values?.bars ?? [])}
        earlier={before ? (axis ? barsOf(before, axis) : (values?.earlier ?? [])) : []}
        than={than}
      />
      <figcaption className="mono third">
        <span className="clip">{from}</span>
        {missing && <span className="second nowrap">{missing} missing</span>}
        <span className="clip">{to !== from && to}</span>
      </figcaption>
    </figure>
  );
}

function Bars({ of, bars, earlier, than }: { of: ColumnProfile; bars: Bar[]; earlier: Bar[]; than: string | undefined }) {
  const top = Math.max(...bars.map((bar) => bar.height), ...earlier.map((bar) => bar.height)) || 1;
  const y = (height: number) => HEIGHT - (height / top) * (HEIGHT - 2);
  const outline = earlier
    .map((bar) => `H${(bar.from * WIDTH).toFixed(1)}V${y(bar.height).toFixed(1)}H${(bar.to * WIDTH).toFixed(1)}`)
    .join("");
  return (
    <svg
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`Histogram of ${of.name}, ${count(of.counts.length, "bin")}${than && outline ? `, over that of ${than}` : ""}`}
    >
      {bars.map((bar) => (
        <rect
          key={`${bar.from} ${bar.to}`}
          x={bar.from * WIDTH}
          width={Math.max((bar.to - bar.from) * WIDTH, 0.5)}
          y={y(bar.height)}
          height={HEIGHT - y(bar.height)}
        >
          <title>{bar.value === undefined ? figure(bar.count) : `${bar.value}: ${figure(bar.count)}`}</title>
        </rect>
      ))}
      {outline && <path d={`M0 ${HEIGHT}${outline}V${HEIGHT}`} />}
    </svg>
  );
}

function Categories({ column, before }: { column: ColumnProfile; before: ColumnProfile | undefined }) {
  const { shown, others } = categoriesOf(column, before);
  const most = Math.max(...shown.map((one) => Math.max(one.share, one.before ?? 0)), 0.01);
  return (
    <ul className="categories" aria-label={`Values of ${column.name}`}>
      {shown.map((one) => (
        <li key={one.value}>
          <span className="mono clip" title={one.value}>
            {one.value}
          </span>
          <span className="share">
            <i style={{ width: `${(one.share / most) * 100}%` }} />
            {one.before !== undefined && <b style={{ left: `${(one.before / most) * 100}%` }} title={`before: ${percent(one.before)}`} />}
          </span>
          <span className="number">
            {one.error > 0 && "≈ "}
            {percent(one.share)}
          </span>
        </li>
      ))}
      {others > 0.0005 && <li className="third">all others {percent(others)}</li>}
    </ul>
  );
}

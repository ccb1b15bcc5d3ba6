import { AssetLink } from "../catalog/links";
import { moment, percent } from "../design/format";
import { Pill } from "../design/Pill";
import { Spark } from "../design/Spark";
import { ageSaid, type Look, type MissingFigures, rateSaid, type Subject, WORD_TONES } from "./looks";

/** By view: how much was missing against what may be expected, and how old the newest row is against its ttl. */
export function MissingTable({ looks, newest }: { looks: readonly Look[]; newest: Look }) {
  const figures = newest.figures as unknown as MissingFigures;
  const subjects = [...(figures.subjects ?? [])].sort((a, b) => Number(b.word === "missing") - Number(a.word === "missing"));
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>View or column</th>
          <th>Word</th>
          <th className="number">Missing</th>
          <th className="number">Expected, at most</th>
          <th>lately</th>
          <th>Newest row</th>
          <th>against its limit</th>
        </tr>
      </thead>
      <tbody>
        {subjects.map((one) => (
          <tr key={one.subject} title={one.why}>
            <td>
              <AssetLink name={one.subject} />
            </td>
            <td className="nowrap">
              <Pill tone={WORD_TONES[one.word]}>{one.word}</Pill>
            </td>
            <td className="number">{rateSaid(one)}</td>
            <td className="number">{one.expected == null ? "–" : percent(one.expected)}</td>
            <td style={{ width: 130 }}>
              <Spark
                values={sharesOf(looks, one.subject)}
                token={one.word === "missing" ? "bad" : "series-1"}
                label={`Missing of ${one.subject} by quarter of a day`}
              />
            </td>
            <td className="mono third nowrap">{one.newest ? moment(one.newest) : "–"}</td>
            <td className="nowrap">
              <Age of={one} />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The share that was missing in each of the last looks, oldest first. */
function sharesOf(looks: readonly Look[], subject: string): number[] {
  return [...looks].reverse().flatMap((look) => {
    const found = (look.figures as unknown as MissingFigures).subjects?.find((one) => one.subject === subject);
    return found?.rows ? [(found.missing ?? 0) / found.rows] : [];
  });
}

function Age({ of }: { of: Subject }) {
  const said = ageSaid(of);
  if (said === null) return <span className="third">no limit</span>;
  const share = of.age_seconds == null || !of.limit_seconds ? 1 : Math.min(1, of.age_seconds / of.limit_seconds);
  return (
    <span className="row">
      <span className="meter" aria-hidden="true">
        <i style={{ width: `${share * 100}%` }} data-over={of.stale} />
      </span>
      <span className={of.stale ? undefined : "second"}>{said}</span>
    </span>
  );
}

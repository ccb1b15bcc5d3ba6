import { Linked } from "../catalog/links";
import { count, moment, retold } from "../design/format";
import { Pill } from "../design/Pill";
import { Empty } from "../design/States";
import { folded, type Look, WORD_TONES } from "./looks";

interface LooksTableProps {
  looks: readonly Look[];
  /** Looks that stand apart from the others, below them. */
  before?: readonly Look[];
  /** The look that is meant. */
  pointed?: number;
}

const SHOWN = 12;

/** Looks with the window that each is about, its word and what it says; those in a row that say the same stand in one line. */
export function LooksTable({ looks, before = [], pointed }: LooksTableProps) {
  if (!looks.length && !before.length)
    return <Empty title="No look yet">A window is looked at once it has ended and its labels have matured.</Empty>;
  const lines = folded(looks);
  const more = lines.slice(SHOWN).flat().length;
  return (
    <table className="ledger looks">
      <thead>
        <tr>
          <th>Window</th>
          <th>Of</th>
          <th>Word</th>
          <th>What it says</th>
        </tr>
      </thead>
      <tbody>
        {lines.slice(0, SHOWN).map((line) => (
          <Line key={line[0]?.id} looks={line} pointed={pointed} />
        ))}
        {more > 0 && (
          <tr>
            <td colSpan={4} className="third">
              and {more} more
            </td>
          </tr>
        )}
        {folded(before).map((line) => (
          <Line key={line[0]?.id} looks={line} pointed={pointed} />
        ))}
      </tbody>
    </table>
  );
}

/** Looks that say the same, newest first, with what the newest of them says. */
function Line({ looks, pointed }: { looks: Look[]; pointed: number | undefined }) {
  const [newest, oldest] = [looks[0], looks.at(-1)];
  if (!newest || !oldest) return null;
  const from = oldest.start ?? (looks.length > 1 ? oldest.end : null);
  return (
    <tr aria-selected={looks.some((look) => look.id === pointed) || undefined}>
      <td className="mono third nowrap">
        {from && `${looks.length > 1 ? "from " : ""}${moment(from)} to `}
        {looks.length > 1 && <br />}
        {moment(newest.end)}
        {looks.length > 1 && `, ${count(looks.length, "look")}`}
      </td>
      <td className="nowrap">
        <Linked text={newest.source || "–"} />
      </td>
      <td className="nowrap">
        <Pill tone={WORD_TONES[newest.word]}>{newest.word}</Pill>
      </td>
      <td className="wrap second">{retold(newest.summary.replace(`${newest.word}: `, ""))}</td>
    </tr>
  );
}

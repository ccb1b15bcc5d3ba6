import { Linked } from "../catalog/links";
import { moment, retold } from "../design/format";
import { Pill } from "../design/Pill";
import { Empty } from "../design/States";
import { type Look, WORD_TONES } from "./looks";

interface LooksTableProps {
  looks: readonly Look[];
  /** How many more there are between the last two groups. */
  more?: number;
  /** The look that is meant. */
  pointed?: number;
}

/** Looks with the window that each is about, its word and what it says. */
export function LooksTable({ looks, more = 0, pointed }: LooksTableProps) {
  if (!looks.length) return <Empty title="No look yet">A window is looked at once it has ended and its labels have matured.</Empty>;
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
        {looks.map((look) => (
          <tr key={look.id} aria-selected={look.id === pointed || undefined}>
            <td className="mono third nowrap">
              {look.start && `${moment(look.start)} to `}
              {moment(look.end)}
            </td>
            <td className="nowrap">
              <Linked text={look.source || "–"} />
            </td>
            <td className="nowrap">
              <Pill tone={WORD_TONES[look.word]}>{look.word}</Pill>
            </td>
            <td className="wrap second">{retold(look.summary.replace(`${look.word}: `, ""))}</td>
          </tr>
        ))}
        {more > 0 && (
          <tr>
            <td colSpan={4} className="third">
              and {more} more
            </td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

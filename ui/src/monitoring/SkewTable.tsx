import { AssetLink } from "../catalog/links";
import { figure, percent } from "../design/format";
import { Empty } from "../design/States";
import type { Look, SkewFigures } from "./looks";

/** Features whose served values are not what the same rows give when recomputed. */
export function SkewTable({ newest }: { newest: Look }) {
  const { features = [] } = newest.figures as unknown as SkewFigures;
  const differing = features.filter((one) => one.differing);
  if (!differing.length) return <Empty title="No value differs">Features are the same in training and in serving.</Empty>;
  return (
    <table className="ledger">
      <thead>
        <tr>
          <th>Feature</th>
          <th>View</th>
          <th className="number">Differing</th>
          <th className="number">of rows</th>
          <th className="number">Share</th>
          <th className="number">Largest difference</th>
        </tr>
      </thead>
      <tbody>
        {differing.map((one) => (
          <tr key={`${one.view} ${one.feature}`}>
            <td className="mono">{one.feature}</td>
            <td>
              <AssetLink name={one.view.split("@")[0] ?? one.view}>{one.view}</AssetLink>
            </td>
            <td className="number">{figure(one.differing)}</td>
            <td className="number">{figure(one.rows)}</td>
            <td className="number">{percent(one.differing / Math.max(1, one.rows))}</td>
            <td className="number">{one.largest === null ? "missing on one side" : figure(one.largest)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

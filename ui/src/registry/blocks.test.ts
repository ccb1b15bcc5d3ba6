import { expect, it } from "vitest";
import { blocksOf } from "./blocks";

it("reads headings, lists and text", () => {
  expect(blocksOf("# late@2\n\nnew data\n\n## Judged\n\n- **no worse**\n- 28 days\n")).toEqual([
    { kind: "heading", level: 1, text: "late@2" },
    { kind: "text", text: "new data" },
    { kind: "heading", level: 2, text: "Judged" },
    { kind: "list", items: ["**no worse**", "28 days"] },
  ]);
});

export type Block = { kind: "heading"; level: number; text: string } | { kind: "list"; items: string[] } | { kind: "text"; text: string };

/** The Markdown that model cards are written in: headings, lists, paragraphs. Never HTML. */
export function blocksOf(text: string): Block[] {
  const blocks: Block[] = [];
  for (const line of text.split("\n")) {
    const heading = /^(#{1,4})\s+(.*)$/.exec(line);
    const item = /^[-*]\s+(.*)$/.exec(line);
    const last = blocks.at(-1);
    if (heading) blocks.push({ kind: "heading", level: (heading[1] as string).length, text: heading[2] as string });
    else if (item && last?.kind === "list") last.items.push(item[1] as string);
    else if (item) blocks.push({ kind: "list", items: [item[1] as string] });
    else if (line.trim()) blocks.push({ kind: "text", text: line });
  }
  return blocks;
}

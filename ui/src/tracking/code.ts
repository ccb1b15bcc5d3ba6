export interface SourceFile {
  path: string;
  digest: string;
  size_bytes: number;
}

/** The files of a source snapshot, of its manifest's text. */
export function filesIn(manifest: string): SourceFile[] {
  return (JSON.parse(manifest) as { files?: SourceFile[] }).files ?? [];
}

export interface Lines {
  /** From 0, both of them inside. */
  from: number;
  to: number;
}

const indentOf = (line: string) => line.length - line.trimStart().length;

/** Where a function stands in Python source, its decorators with it; nothing where it does not. */
export function functionIn(text: string, qualname: string): Lines | null {
  const lines = text.split("\n");
  const name = (qualname.split(".").at(-1) ?? "").replace(/\W/g, "");
  const head = new RegExp(`^\\s*(async\\s+def|def|class)\\s+${name}\\b`);
  const at = name ? lines.findIndex((line) => head.test(line)) : -1;
  if (at < 0) return null;
  const indent = indentOf(lines[at] as string);
  let from = at;
  for (let above = at - 1; above >= 0 && lines[above]?.trim(); above--) {
    const line = lines[above] as string;
    if (indentOf(line) === indent && line.trimStart().startsWith("@")) from = above;
  }
  let to = at;
  for (let below = at + 1; below < lines.length; below++) {
    const line = lines[below] as string;
    if (!line.trim()) continue;
    // A signature over several lines closes at the function's own depth.
    if (indentOf(line) <= indent && !line.trimStart().startsWith(")")) break;
    to = below;
  }
  return { from, to };
}

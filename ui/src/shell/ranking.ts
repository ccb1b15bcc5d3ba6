export interface Findable {
  label: string;
  kind: string;
  hint?: string;
}

/** How well a text answers what was typed: 0 is not at all; whole words and beginnings before scattered letters. */
export function score(text: string, typed: string): number {
  const [inside, wanted] = [text.toLowerCase(), typed.toLowerCase().trim()];
  if (!wanted) return 1;
  if (inside === wanted) return 100;
  if (inside.startsWith(wanted)) return 60 - inside.length / 100;
  const at = inside.indexOf(wanted);
  if (at >= 0) return (/[\s_@\-/]/.test(inside[at - 1] ?? "") ? 40 : 25) - inside.length / 100;
  let from = 0;
  for (const letter of wanted) {
    from = inside.indexOf(letter, from) + 1;
    if (!from) return 0;
  }
  return 8 - inside.length / 100;
}

export function rank<T extends Findable>(items: T[], typed: string, limit = 60): T[] {
  return items
    .map((item) => ({ item, points: Math.max(score(item.label, typed), 0.6 * score(item.hint ?? "", typed)) }))
    .filter((one) => one.points > 0 && (typed.trim() || one.points))
    .sort((a, b) => b.points - a.points)
    .slice(0, limit)
    .map((one) => one.item);
}

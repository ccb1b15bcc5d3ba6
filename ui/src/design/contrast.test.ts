import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const css = readFileSync(new URL("./tokens.css", import.meta.url), "utf8");
const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)/g)].map(([, name, light, dark]) => [name as string, { light, dark }]),
);

function luminance(hex: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** The ratio of WCAG 2.2, 1.4.3. */
function contrast(text: string, ground: string, shade: "light" | "dark"): number {
  const [a, b] = [text, ground].map((name) => luminance(tokens.get(name)?.[shade] as string));
  return (Math.max(a as number, b as number) + 0.05) / (Math.min(a as number, b as number) + 0.05);
}

const TEXTS = ["ink", "second", "third", "accent", "ok", "warn", "bad", "info"];
const pairs = [
  ...TEXTS.flatMap((text) => ["paper", "surface", "sunken"].map((ground) => [text, ground] as const)),
  ...["ok", "warn", "bad", "info", "accent"].map((text) => [text, `${text}-wash`] as const),
  ...["ink", "second", "third"].map((text) => [text, "accent-wash"] as const),
  ["ink", "bad-wash"] as const,
  ["surface", "accent"] as const,
  ["surface", "bad"] as const,
];

describe.each(["light", "dark"] as const)("small text is legible when %s", (shade) => {
  it.each(pairs)("%s on %s", (text, ground) => {
    expect(contrast(text, ground, shade)).toBeGreaterThanOrEqual(4.5);
  });
});

import { describe, expect, it } from "vitest";
import { ageSaid, causeOf, conclusion, evidenceByWeek, evidenceSaid, folded, type Look, rateSaid, sinceSaid } from "./looks";

function look(kind: string, word: string, figures: Record<string, unknown> = {}, source = "late@2"): Look {
  return { kind, word, figures, source } as unknown as Look;
}

describe("a monitor's conclusion", () => {
  it("says what is amiss by name", () => {
    const missing = look("missing", "missing", {
      subjects: [
        { subject: "origin_weather", word: "missing" },
        { subject: "pace", word: "safe" },
      ],
    });
    const drift = look("drift", "changed", {
      features: [
        { feature: "hour", word: "changed" },
        { feature: "distance", word: "changed" },
      ],
    });
    expect(conclusion({ looks: [missing, drift, look("performance", "safe")], watches: [] }).text).toBe(
      "hour, distance changed; origin_weather is missing.",
    );
  });
  it("says that nothing is amiss once all that is watched was found safe", () => {
    const looks = [look("drift", "safe"), look("skew", "safe")];
    expect(conclusion({ looks, watches: ["drift", "skew"] }).text).toBe(
      "Nothing is amiss: nothing has changed, training and serving agree.",
    );
  });
  it("says else what was looked at, what could not be judged and what was not looked at", () => {
    const looks = [look("regret", "no worse"), look("skew", "safe")];
    expect(conclusion({ looks, watches: ["performance", "regret", "drift", "missing", "skew"] }).text).toBe(
      "Regret and skew: nothing found; performance, drift, missing: not looked yet.",
    );
    expect(conclusion({ looks: [look("performance", "not enough data yet"), look("drift", "safe")], watches: [] }).text).toBe(
      "Drift: nothing found; performance: not enough data yet.",
    );
    expect(conclusion({ looks: [look("performance", "not enough data yet")], watches: ["performance"] }).text).toBe("Not enough data yet.");
    expect(conclusion({ looks: [], watches: ["drift"] }).text).toBe("It has not looked yet.");
  });
});

describe("a word about missing data that is not of the newest quarter", () => {
  const looks = [{ ...look("missing", "safe"), end: "2013-05-20T22:00:00Z" }];
  const until = "2013-05-21T10:00:00Z";
  it("says of which time it is, and that nobody or too few have asked since", () => {
    expect(sinceSaid({ endpoint: "late", looks, unjudged: { until, rows: false } })).toMatch(/^as of .*; nobody has asked since$/);
    expect(sinceSaid({ endpoint: "late", looks, unjudged: { until, rows: true } })).toMatch(/; too few have asked since to tell$/);
    expect(sinceSaid({ endpoint: null, looks, unjudged: { until, rows: false } })).toMatch(/; no row has come since$/);
  });
  it("says nothing else", () => {
    expect(sinceSaid({ endpoint: "late", looks, unjudged: null })).toBeNull();
  });
});

describe("looks in a row", () => {
  it("stand together while they say the same word of the same version", () => {
    const looks = [look("missing", "missing"), look("missing", "missing"), look("missing", "safe"), look("missing", "safe", {}, "late@1")];
    expect(folded(looks).map((line) => line.length)).toEqual([2, 1, 1]);
  });
});

describe("figures of looks", () => {
  it("say how old the newest row is against its ttl", () => {
    expect(ageSaid({ subject: "w", word: "missing", why: "", age_seconds: 1_450_800, limit_seconds: 7_200 })).toBe(
      "16 days old; at most 2 hours",
    );
    expect(ageSaid({ subject: "w", word: "missing", why: "", age_seconds: null, limit_seconds: 7_200 })).toBe(
      "no row at all; at most 2 hours",
    );
    expect(ageSaid({ subject: "w", word: "safe", why: "" })).toBeNull();
  });
  it("say how much is missing of how many rows", () => {
    expect(rateSaid({ subject: "w", word: "safe", why: "", rows: 200, missing: 1 })).toBe("0.5 % of 200 rows");
  });
  it("say evidence as what a bet of 1 has become", () => {
    expect([evidenceSaid(0), evidenceSaid(Math.log(280)), evidenceSaid(30)]).toEqual(["1", "280.0", "1.1e+13"]);
  });
  it("follow a feature's evidence through the looks at one version", () => {
    const week = (log_evidence: number, source: string) => look("drift", "safe", { features: [{ feature: "hour", log_evidence }] }, source);
    expect(evidenceByWeek([week(2, "late@2"), week(1, "late@2"), week(9, "late@1")], "late@2").get("hour")).toEqual([1, 2]);
  });
});

it("names an alert by its kind and subject", () => {
  expect([causeOf({ kind: "drift", subject: "hour" }), causeOf({ kind: "performance", subject: "" })]).toEqual([
    "drift of hour",
    "performance",
  ]);
});

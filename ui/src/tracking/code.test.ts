import { describe, expect, it } from "vitest";
import { filesIn, functionIn } from "./code";

const FILE = `import clew

def other():
    return 1

@clew.model(training,
            refit=True)
def late(
    training: clew.TrainingData,
    *, seed: int = 7,
) -> object:
    """Its words."""

    return fit(training)

x = 1
`;

describe("a function in its file", () => {
  it("is found with its decorators, to its last line", () => {
    expect(functionIn(FILE, "late")).toEqual({ from: 5, to: 13 });
    expect(functionIn(FILE, "other")).toEqual({ from: 2, to: 3 });
  });
  it("is nothing where it is not", () => {
    expect(functionIn(FILE, "lat")).toBeNull();
    expect(functionIn(FILE, "")).toBeNull();
  });
});

it("reads the files of a manifest, of which there may be none", () => {
  expect([filesIn('{"files": [{"path": "a.py", "digest": "d", "size_bytes": 1}]}').length, filesIn("{}").length]).toEqual([1, 0]);
});

"""Studies: what to try next, and what came of it. Runs nothing itself."""

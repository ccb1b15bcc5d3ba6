"""Runs: parameters, metric series, output, artifacts, environment, and the search over them."""

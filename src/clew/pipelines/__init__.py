"""Planning and running builds: what is stale and why, executors, trials, and the execution of gates."""

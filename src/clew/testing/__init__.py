"""For tests of a user's own code, and the suites that every implementation of a port passes."""

from clew.testing.projects import OpenProject, project
from clew.testing.run import Run

__all__ = ["OpenProject", "Run", "project"]

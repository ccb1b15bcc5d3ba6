"""Endpoints, their routes, the process that answers, and the prediction log."""

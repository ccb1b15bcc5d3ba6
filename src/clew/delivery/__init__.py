"""Delivery: triggers, retraining, rollouts and promotion, driven by the project's event time."""

"""Models: what a version holds, how frameworks are saved, loaded and exported, and model cards."""

"""Watching what is served: skew between training and serving, and performance once the labels have come."""

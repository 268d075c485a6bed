"""Metrics: pure functions of cached vectors, in float64.  They know no model, no file and no director's name."""

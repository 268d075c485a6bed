"""Metrics: pure functions of cached vectors, in float64.

Belongs here: one measure a module.  Does not: models, files and directors' names, nor what a number is good for.
"""

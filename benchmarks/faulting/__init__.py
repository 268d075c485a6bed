"""Faults let loose on a small project, a kind a module: what `benchmarks.faults` runs.

Belongs here: worlds to be disturbed, moments at which to do it, and what must hold afterwards.
"""

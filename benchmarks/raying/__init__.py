"""A Ray cluster of two nodes on this machine: what `benchmarks.ray_cluster` runs on.

Belongs here: starting it, where its steps are, and ending a node of it.
"""

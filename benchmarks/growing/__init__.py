"""What grows with directors and recipes, and what is timed there.

Belongs here: parts of `benchmarks.growth`: configs of many, an empty graph over them, and each thing that is timed.
"""

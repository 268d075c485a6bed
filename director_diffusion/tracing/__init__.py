"""Tracing: from an adapter or a repository back to what it was made of, and from a still forward to all it went into.

Belongs here: putting together what files say of themselves and what a store's artifacts say of each other.  Nothing is
made or changed here.
"""

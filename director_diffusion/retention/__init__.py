"""Retention: which old versions and cached items of a store may go, and taking them away.

Belongs here: what keeps something, what is left over, and a collection while nobody writes.  Does not: what must go on
somebody's request (`withdrawal`), Dagster's own records.
"""

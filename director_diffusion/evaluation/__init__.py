"""Evaluation: scores of drawn pictures, the adapter's effects with their intervals, and the verdict.

Belongs here: what is asked of an adapter, by which measure, and how sure the answer is.  Does not: drawing what is
judged (`sampling`), people's opinions (`voting`), what follows from a verdict (`publishing`).
"""

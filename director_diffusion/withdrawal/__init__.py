"""Withdrawal: taking a still, and all that was made of it, out of a store.

Belongs here: which still a person means, what was made of it, and taking that away.  Does not: what is only old
(`retention`), keeping the still from coming back (`stills.withdrawn`), Dagster's records (`pipelines.history`).
"""

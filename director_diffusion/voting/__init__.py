"""Voting: people judge blindly what metrics judge, on the same pictures.

Belongs here: pairs of pictures, the booth that hands them out, the ledger of votes, and what votes say.  Does not: a
page that people look at, nor anything that a card or a publication reads.
"""

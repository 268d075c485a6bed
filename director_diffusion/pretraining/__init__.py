"""Pretraining: models trained from scratch on small pictures, by their spec, into folders that the real loaders read.

Belongs here: the parts' sizes, tokenizers, data and lessons, and the loop that takes them all.  Does not: anything that
uses a model; nothing outside this room may ask where a model came from.
"""

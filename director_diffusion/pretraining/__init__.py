"""Pretraining: models trained from scratch on small pictures, by their spec, into folders that the real loaders read.

Belongs here: the parts' sizes, tokenizers, data and lessons, and the loop that takes them all.  Does not: anything that
uses a model: whoever does sees a folder like any other.  Of the other rooms, `specs` (what a base's file may say) and
`models.doctor` (whether data and shipped models are there) alone look in here.
"""

"""Models: where a model's files come from, and what names their content.

Belongs here: sources of `specs.Source` turned into fingerprints and local folders.  What a folder must hold for a
family is the family's to say (`families`), how a base is trained from scratch is `pretraining`'s.
"""

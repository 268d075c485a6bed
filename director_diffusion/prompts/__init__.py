"""Prompts: the text encoders' outputs for every prompt that training may ask for.

Belongs here: encoding, the table of it, and reading embeddings back for training.  Does not: what a prompt says
(`captions`), the encoders themselves (`families`).
"""

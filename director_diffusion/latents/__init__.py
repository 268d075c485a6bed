"""Latents: every kept still as the VAE's posterior, in a bucket of film's shapes.

Belongs here: the choice of buckets, encoding, the table of it, and reading posteriors back for training.  Does
not: the VAE itself, which is a family's (`families`).
"""

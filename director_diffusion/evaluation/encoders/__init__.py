"""Encoders: from pictures to vectors, kept by content.

Belongs here: one module for each model that sees, imported only where it is used, and the cache of what they saw.  Does
not: what vectors are compared for (`metrics`).
"""

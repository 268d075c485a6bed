"""Sampling: the pictures that an adapter is judged by, in three arms from the same noise."""

"""Encoders: from pictures to vectors, kept by content.  Imports no model: each lives in its own module."""

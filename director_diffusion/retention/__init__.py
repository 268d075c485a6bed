"""Retention: which old versions and cached items of a store may go, and taking them away."""

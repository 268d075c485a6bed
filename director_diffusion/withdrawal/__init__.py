"""Withdrawal: taking a still, and all that was made of it, out of a store."""

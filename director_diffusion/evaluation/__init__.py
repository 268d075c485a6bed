"""Evaluation: scores of drawn pictures, the adapter's effects with their intervals, and the verdict."""

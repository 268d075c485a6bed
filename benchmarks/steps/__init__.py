"""Parts of `benchmarks/train_step.py`.

Belongs here: real shapes at random weights, their FLOPs, and the measuring of steps.
"""

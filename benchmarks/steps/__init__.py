"""Parts of `benchmarks/train_step.py`: real shapes at random weights, their FLOPs, and the measuring of steps."""

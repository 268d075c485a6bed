"""Distillation: few-step students of an adapter, from their teacher's trajectories to their files."""

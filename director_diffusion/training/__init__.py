"""Training: an adapter of a base, learned from cached latents and prompt embeddings.

Belongs here: the objective, the data's order, the loop, checkpoints, and what a training leaves behind.  How an
architecture packs and predicts is its family's.
"""

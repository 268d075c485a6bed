"""The truth of the verdict: adapters with known faults, and what the verdict says of them.

Belongs here: the faults, the trials and their counting.  What a verdict is, `director_diffusion.evaluation` says.
"""

"""Stills: from a director's folder to upright pictures, split by film, with a row and a reason for every file.

Belongs here: which files there are and what people say of them (`raw`, `decisions`, `withdrawn`), decoding and
measuring (`decode`, `frames`), what is near the same (`similarity`), and the split.  Does not: captions (`captions`),
pixels for a VAE (`latents`), bringing files of other tools (`exchange`).
"""

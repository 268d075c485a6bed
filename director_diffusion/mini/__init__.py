"""Mini: a small model set in the real layouts, with the real classes, built on drawn scenes.

Belongs here: its sizes, its tokenizers, its short training, and the one function that builds a part into a folder.
Does not: anything that uses it; nothing outside this room may ask whether a model is small.
"""

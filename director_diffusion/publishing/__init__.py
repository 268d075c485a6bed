"""Publishing: the repository that carries an adapter to other people, and its way to a hub.

Belongs here: the model card with its metadata, provenance and pictures, and putting the folder where others find it.
Nothing is measured or judged here: effects and verdict come from `evaluation`.
"""

"""Scenes: drawn pictures that stand in for film stills where there are none.

Belongs here: what a drawn scene contains, how it is drawn and graded, how it is said in words, and filling an empty
store with placeholders.  They are drawings by a seeded generator, never passed off as film stills. No torch here.
"""

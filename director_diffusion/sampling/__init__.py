"""Sampling: the pictures that an adapter is judged by, in three arms from the same noise.

Belongs here: what each arm is asked, how many steps it takes, which pictures are lacking, and drawing them once for
all; and what people ask for by hand.  Does not: how an architecture draws (`families`), what pictures are worth
(`evaluation`).
"""

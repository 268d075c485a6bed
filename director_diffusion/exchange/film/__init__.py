"""Films: a film's file as a handful of sharp stills, one or a few of every shot.

Belongs here: reading frames with their times, finding cuts, choosing what stands for a shot, right colours and shape.
Does not: writing them into a store (`exchange.landing`).
"""

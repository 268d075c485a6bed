"""The prior: pictures of what a base draws before it is taught a style, for a training to hold on to.

Belongs here: which pictures, drawing them, and making of them what a training reads of stills.  Does not: how much they
weigh in a step (`training`).
"""

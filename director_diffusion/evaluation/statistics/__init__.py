"""Statistics: intervals and tests of plain numbers.

Belongs here: resampling, intervals, corrections for many questions.  Does not: what the numbers are.
"""

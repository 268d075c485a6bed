"""Statistics of votes: shares and strengths of plain numbers.

Belongs here: estimates and their intervals.  Does not: what the numbers are (`standings`).
"""

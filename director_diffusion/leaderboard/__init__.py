"""The leaderboard: all directors' adapters by all recipes, side by side.

Belongs here: which artifacts tell of an adapter, a row of what they say, the order of rows, and tables for a terminal
and a page.  Does not: measuring anything anew.
"""

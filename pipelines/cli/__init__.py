"""The `director` command: what the Dagster CLI does not do.

Belongs here: one module per subcommand: its words, the library's function that does it, what a terminal shows.  Does
not: the doing itself.
"""

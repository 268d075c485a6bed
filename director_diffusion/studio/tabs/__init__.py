"""Tabs of the studio.

Belongs here: one module per tab, with its `TITLE` and `lay_out(studio)`; where it serves bytes of its own, also
`add_routes(router, studio)`.  `app.TABS` lists them.
"""

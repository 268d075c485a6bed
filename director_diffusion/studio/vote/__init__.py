"""Voting in the studio: the routes over the booth, and the page that asks them.

Belongs here: what a voter's browser sends and gets.  What may be sent is checked by the booth (`voting.given`), which
pair comes next and what is written down are its matter too.  The page stands alone, so that voters can be given its
address and see nothing else; the tab shows the same page.
"""

"""The studio: a web app in which people look at adapters, compare them, curate their data and vote.

Belongs here: the shell (`studio`, `app`, `server`), the desk that draws, and the tabs.  What a tab shows and decides
lives in plain modules without gradio; `tabs/` only lays out and wires.
"""

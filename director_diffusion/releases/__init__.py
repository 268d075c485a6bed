"""Releases: which published adapter is live for a director and recipe, and its way to where ComfyUI reads.

Belongs here: the record of what was live, by whom and why, and the delivered files.  Publishing is
`director_diffusion.publishing`'s: what was not published is never live.
"""

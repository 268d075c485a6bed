"""Captions: what each still shows, in words, never how it is styled.

Belongs here: asking a vision-language model for them, judging what it says, and the one way a trigger and a caption
become a prompt.  What people wrote beside their stills is read in `stills`.
"""

"""Exchange: stills and captions from other tools' folders and from films, and into folders for other tools.

Belongs here: a layout a module, both ways, and `landing`, by which all that comes in is written.  Does not: what
becomes of stills once they lie there (`stills`), adapters for other tools (`adapters`).
"""

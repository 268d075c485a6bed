"""Exchange: stills and captions from other tools' folders and from films, and into folders for other tools."""

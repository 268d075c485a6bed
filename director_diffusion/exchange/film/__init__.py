"""Films: a film's file as a handful of sharp stills, one or a few of every shot."""

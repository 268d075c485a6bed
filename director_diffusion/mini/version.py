"""The builder's version, kept apart so that naming a part needs no torch."""

BUILDER_VERSION = "2"
"""Raise it with any change to what `build.build_part` makes: parts built before are then built anew."""

"""What releases are tried on: a lineage in a store of its own."""

from tests.lineage_fixtures import lineage, store

__all__ = ["lineage", "store"]

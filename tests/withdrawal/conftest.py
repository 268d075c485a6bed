from tests.lineage_fixtures import lineage, store

__all__ = ["lineage", "store"]

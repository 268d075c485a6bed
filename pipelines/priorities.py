"""Priorities: which runs Dagster's queue, and the pools' waiting lines, take first.

A person's run has none, which is 0.  `configs/dagster/` holds back what has the lowest.
"""

from dagster._core.storage.tags import PRIORITY_TAG

NOTICED = {PRIORITY_TAG: "-1"}  # a look at what people have put there, or voted: seconds
BY_ITSELF = {PRIORITY_TAG: "-10"}  # what the automation and schedules make

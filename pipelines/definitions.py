"""What Dagster loads: the definitions of the project and deployment that the environment names."""

from pipelines.build import build_definitions
from pipelines.surroundings import read_surroundings

defs = build_definitions(read_surroundings())

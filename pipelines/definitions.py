"""What Dagster loads: the definitions of the project and deployment that the environment names."""

from pipelines.build import build_definitions
from pipelines.surroundings import limit_threads, read_surroundings
from resources.secrets import without_secrets

with without_secrets():
    _surroundings = read_surroundings()
    limit_threads(_surroundings)
    defs = build_definitions(_surroundings)

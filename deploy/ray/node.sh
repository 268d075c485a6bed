#!/usr/bin/env bash
# Start this machine's Ray node: `deploy/ray/node.sh head`, then `deploy/ray/node.sh HEAD:6379` on each other machine.
#
# On every machine alike: this checkout (or image) at the same path, the same DIRECTOR_* variables, and whatever reaches store,
# Hub and Postgres.  Ray gives a step what the node was started with, and nothing of this goes through Ray.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH="$PWD/.venv/bin:$PATH"  # a step is started as `dagster api execute_step`
: "${DIRECTOR_STORE:?a bucket, or a folder that all nodes see at the same place}"
: "${DIRECTOR_DAGSTER_POSTGRES_URL:?where Dagster keeps its records; docs/dagster_storage.md}"
export DIRECTOR_DEPLOYMENT="${DIRECTOR_DEPLOYMENT:-ray}" PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" RAY_USAGE_STATS_ENABLED=0
# Ray gives a step up that has waited 15 minutes for a GPU; here it waits for as long as a training may take.
export RAY_JOB_START_TIMEOUT_SECONDS="${RAY_JOB_START_TIMEOUT_SECONDS:-604800}"
case "${1:?head, or HEAD:6379}" in
  # Ray's job server runs what it is told, for anybody who reaches it: it listens to this machine alone, unless you say otherwise.
  head) exec ray start --head --port 6379 --dashboard-host "${RAY_DASHBOARD_HOST:-127.0.0.1}" --block ;;
  *) exec ray start --address "$1" --block ;;
esac

#!/usr/bin/env bash
# The gateway beside bare Pingora and nginx, one table. Arguments go to the benchmark: `benches/run.sh --rounds 7 --json`.
set -euo pipefail
cd "$(dirname "$0")/.."
exec cargo bench --locked --profile dist --bench gateway -- "$@"

#!/usr/bin/env bash
# Resolve pyproject.toml into the two hashed lock files. Needs uv on PATH; prints no index address into the files.
set -euo pipefail
cd "$(dirname "$0")/.."
common=(--extra assets --extra build --extra postgres --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --python-version 3.11)
uv pip compile -q pyproject.toml "${common[@]}" -o requirements.lock
uv pip compile -q pyproject.toml "${common[@]}" --extra dev -c requirements.lock -o requirements-dev.lock

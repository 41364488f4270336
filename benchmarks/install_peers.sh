#!/bin/sh
# The peers that come as system packages (Debian, as root); the others are installed by `python -m benchmarks`
# into virtual environments under .bench.
set -eu
apt-get update
apt-get install --yes --no-install-recommends git restic borgbackup

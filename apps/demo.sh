#!/usr/bin/env bash
# The whole in one command: installs what is missing, builds, trains the CNN on the synthetic digits on one and on two
# ranks, and compares the two result files.
set -euo pipefail
cd "$(dirname "$0")/.."

bash apps/install_dependencies.sh
[ -f build/release/build.ninja ] || cmake --preset release >build-configure.log 2>&1 ||
  { cat build-configure.log >&2; exit 1; }
rm -f build-configure.log
cmake --build --preset release --target partita-train partita-compare

bin=build/release/bin
out=results/demo
mkdir -p "$out"
for ranks in 1 2; do
  echo "== $ranks rank(s)" >&2
  mpiexec -n "$ranks" "$bin/partita-train" --config inputs/runs/digits_cnn.ini --output "$out/ranks-$ranks.h5" --overwrite
done
"$bin/partita-compare" "$out/ranks-1.h5" "$out/ranks-2.h5" --no-gate

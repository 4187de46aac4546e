#!/usr/bin/env bash
# The whole in one command: installs what is missing, builds, trains the CNN on the synthetic digits on one and on two
# ranks, and compares the two result files.
set -euo pipefail
cd "$(dirname "$0")/.."

echo "== 1/4 what Partita needs" >&2
bash scripts/install_dependencies.sh

echo "== 2/4 building the two programs that run here (about three minutes on two cores)" >&2
if [ ! -f build/release/build.ninja ]; then
  # Only what runs here: tests and CUDA kernels come with tests/run.sh, or with a build of one's own.
  cmake --preset release -DPARTITA_TESTS=OFF -DPARTITA_CUDA=OFF >build-configure.log 2>&1 || { cat build-configure.log >&2; exit 1; }
  rm -f build-configure.log
fi
# On a terminal Ninja shows its progress itself; elsewhere a line at each tenth, and all that is not progress.
build=(cmake --build --preset release -j "$(bash scripts/cores.sh)" --target partita-train partita-compare)
if [ -t 1 ]; then
  "${build[@]}"
else
  "${build[@]}" | awk '/^\[[0-9]+\/[0-9]+\]/ { split(substr($1, 2), of, "[/\\]]"); tenth = int(10 * of[1] / of[2])
                                               if (tenth > last) { print "  " of[1] " of " of[2] " steps"; last = tenth; fflush() }; next }
                       { print; fflush() }' >&2
fi

# What Open MPI wants to be told before it starts ranks as root, or more than it counts cores; other launchers do not read it.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
bin=build/release/bin
out=results/demo
mkdir -p "$out"
for ranks in 1 2; do
  echo "== $((2 + ranks))/4 training the CNN on $ranks rank(s)" >&2
  mpiexec -n "$ranks" "$bin/partita-train" --config inputs/runs/digits_cnn.ini --output "$out/ranks-$ranks.h5" --overwrite
done
"$bin/partita-compare" "$out/ranks-1.h5" "$out/ranks-2.h5" --no-gate
echo "All programs: cmake --preset release && cmake --build --preset release. The results: $out" >&2

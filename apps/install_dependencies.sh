#!/usr/bin/env bash
# Installs what Partita needs and is missing. Debian and Ubuntu: through apt, with sudo unless run as root. Elsewhere: names
# the packages and stops. Run by apps/demo.sh, and with --tests, which adds what only tests need, by tests/run.sh.
set -euo pipefail

packages=(build-essential cmake ninja-build git mpich libmpich-dev libhdf5-dev libdnnl-dev libboost-dev
          libboost-program-options-dev libboost-context-dev zlib1g-dev libssl-dev libcurl4-openssl-dev nlohmann-json3-dev librandom123-dev
          libgtest-dev libbenchmark-dev libucx-dev python3 python3-numpy python3-h5py python3-xarray python3-h5netcdf
          python3-matplotlib python3-pandas)
if [ "${1:-}" = --tests ]; then
  packages+=(slurmctld slurmd slurm-client munge shellcheck chromium clang libclang-rt-14-dev)
fi

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  # CMake names any library that is missing; here only what is needed to get that far.
  tools=()
  for tool in cmake git mpicxx mpiexec python3; do command -v "$tool" >/dev/null || tools+=("$tool"); done
  command -v ninja >/dev/null || command -v ninja-build >/dev/null || tools+=(ninja)
  if [ ${#tools[@]} -gt 0 ]; then
    echo "This system has no apt, and these are missing: ${tools[*]}. Install the equivalents of these packages (or load the" \
         "modules), then run again: ${packages[*]}" >&2
    exit 2
  fi
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "Installing: ${missing[*]}" >&2
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Neither root nor sudo: install these packages: ${missing[*]}" >&2; exit 2; }
  as_root=(sudo)
fi
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null

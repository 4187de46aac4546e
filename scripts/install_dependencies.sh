#!/usr/bin/env bash
# Installs what Partita needs and is missing. Usage: install_dependencies.sh [--tests] [--list]
# --tests adds what only tests need; --list prints the packages and installs nothing.
# Debian and Ubuntu: through apt, with sudo unless run as root. Elsewhere: names the packages and stops.
# Run by apps/demo.sh and, with --tests, by tests/run.sh.
set -euo pipefail

tests=false
list=false
for argument in "$@"; do
  case "$argument" in
    --tests) tests=true ;;
    --list) list=true ;;
    *) echo "install_dependencies.sh: unknown option $argument; there are --tests and --list" >&2; exit 2 ;;
  esac
done

# ocl-icd-opencl-dev: the CMake package of Debian 12's oneDNN asks for OpenCL, and nothing that it depends on brings it.
packages=(build-essential cmake ninja-build git libhdf5-dev libdnnl-dev ocl-icd-opencl-dev libboost-dev
          libboost-program-options-dev zlib1g-dev libssl-dev libcurl4-openssl-dev nlohmann-json3-dev librandom123-dev
          libbenchmark-dev python3 python3-numpy python3-h5py python3-xarray python3-h5netcdf python3-matplotlib python3-pandas)
if $tests; then
  packages+=(libgtest-dev libboost-context-dev slurmctld slurmd slurm-client munge shellcheck chromium clang clang-format
             clang-tidy libclang-rt-dev)
fi
# A machine's own MPI is used; one that has none gets MPICH. Tests count what MPICH sends below MPI, in UCX.
if ! $list && command -v mpiexec >/dev/null && mpiexec --version 2>&1 | grep -qiE 'open.?mpi|open-mpi|prte'; then
  command -v mpicxx >/dev/null || packages+=(libopenmpi-dev)
elif $list || command -v mpicxx.mpich >/dev/null || ! command -v mpicxx >/dev/null || ! command -v mpiexec >/dev/null; then
  packages+=(mpich libmpich-dev)
  ! $tests || packages+=(libucx-dev)
fi
if $list; then
  printf '%s\n' "${packages[@]}"
  exit 0
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

echo "Installing ${#missing[@]} packages and what they depend on (a few minutes): ${missing[*]}" >&2
as_root=(env DEBIAN_FRONTEND=noninteractive)
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "Neither root nor sudo: install these packages: ${missing[*]}" >&2; exit 2; }
  as_root=(sudo "${as_root[@]}")
fi
"${as_root[@]}" apt-get update -qq
# apt says how far it is in lines such as dlstatus:3:50.2:… (fetching) and pmstatus:…:…:… (installing), on a descriptor of their
# own, opened behind sudo, which closes it: a word at each quarter.
# shellcheck disable=SC2016  # "$@" are the packages, expanded there
"${as_root[@]}" bash -c 'exec apt-get install -y -qq --no-install-recommends -o APT::Status-Fd=3 "$@" 3>&1 >/dev/null' \
  apt-get "${missing[@]}" |
  awk -F: '$1 == "dlstatus" || $1 == "pmstatus" {
             quarter = int($3 / 25)
             if ($1 != stage || quarter > last) print "  " ($1 == "dlstatus" ? "fetched " : "installed ") int($3) " %"
             stage = $1; last = quarter; fflush() }' >&2

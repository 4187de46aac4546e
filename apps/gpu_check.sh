#!/usr/bin/env bash
# Checks Partita on a machine with a GPU, in pieces of at most ten minutes each; what they print and measure is left in one folder.
#
#   bash apps/gpu_check.sh build|tests|sanitizer|gemm|layers|training|pytorch|all OUT_DIR
#
#   build      configures preset cuda and builds; cut off after ten minutes it goes on where it was when called again
#   tests      the tests that need a device (ctest -L gpu), equivalence of all decompositions on ranks that share it among them
#   sanitizer  the kernels' tests under compute-sanitizer: memcheck and racecheck
#   gemm       every matrix product beside cuBLASLt: text, HDF5, the ladder as Markdown, the table of compute.gemm
#   layers     fused layers beside unfused ones, convolutions
#   training   the reference workloads under each decomposition on 1, 2 and 4 ranks that share the device; with PARTITA_DATA_DIR also
#              the accuracy of the MNIST nets
#   pytorch    training beside PyTorch on the same device: eager, CUDA graphs, bfloat16 (needs PARTITA_DATA_DIR and torch)
#
# Needs the CUDA toolkit; MPI, HDF5 and the other libraries come from the system or from PARTITA_CARRIED, a folder that is laid out
# as /usr/local (bin, include, lib) or holds packages unpacked with `dpkg -x` (usr/bin, usr/include, usr/lib). What is missing is
# said. PARTITA_PYTHON names an interpreter with torch. Exit code: 0 passed; 1 something failed; 2 something is missing, such as
# the device. OUT_DIR/summary.txt has a line for each piece.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

readonly pieces=(build tests sanitizer gemm layers training pytorch)
readonly build=build/cuda limit=590
python=${PARTITA_PYTHON:-python3}
started=$SECONDS

# Seconds that are left of the piece's ten minutes.
left() { echo $((limit - SECONDS + started > 1 ? limit - SECONDS + started : 1)); }

say() { printf '%s\n' "$*" | tee -a "$out/$piece.txt"; }

# Runs a command with what is left of the piece's time; its text goes to the piece's file.
run() {
  say "\$ $*"
  timeout -k 10 "$(left)" "$@" 2>&1 | tee -a "$out/$piece.txt"
  local status=${PIPESTATUS[0]}
  [ "$status" -ne 124 ] || say "cut off: the piece's ten minutes are over"
  return "$status"
}

# Search paths of the carried libraries.
use_carried() {
  local root=${PARTITA_CARRIED:-} folder
  [ -n "$root" ] || return 0
  [ -d "$root" ] || { echo "gpu_check.sh: PARTITA_CARRIED = $root: no such folder" >&2; exit 2; }
  root=$(cd "$root" && pwd)
  for folder in "$root" "$root/usr"; do
    export PATH="$folder/bin:$PATH" CMAKE_PREFIX_PATH="$folder${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}"
  done
  for folder in "$root"/lib "$root"/usr/lib "$root"/usr/lib/*-linux-gnu "$root"/usr/lib/*-linux-gnu/hdf5/serial; do
    [ -d "$folder" ] || continue
    export LD_LIBRARY_PATH="$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" LIBRARY_PATH="$folder${LIBRARY_PATH:+:$LIBRARY_PATH}"
  done
  for folder in "$root"/include "$root"/usr/include "$root"/usr/include/*-linux-gnu/mpich "$root"/usr/include/hdf5/serial \
                "$root"/usr/include/*-linux-gnu; do
    [ -d "$folder" ] || continue
    export CPATH="$folder${CPATH:+:$CPATH}"
  done
  carried_mpi "$root"
}

# MPI's and HDF5's compiler wrappers of unpacked packages name /usr: the libraries are told to CMake instead.
carried_mpi() {
  local header library
  header=$(find "$1" -name mpi.h -path '*include*' | head -n 1)
  library=$(find "$1" \( -name libmpich.so -o -name libmpi.so \) | head -n 1)
  if [ -n "$header" ] && [ -n "$library" ]; then
    options+=("-DMPI_CXX_HEADER_DIR=$(dirname "$header")" -DMPI_CXX_LIB_NAMES=mpi "-DMPI_mpi_LIBRARY=$library" -DMPI_CXX_SKIP_MPICXX=ON
              "-DMPI_CXX_COMPILER=$(command -v g++)")
  fi
  header=$(find "$1" -name hdf5.h -path '*include*' | head -n 1)
  library=$(find "$1" -name libhdf5.so | head -n 1)
  if [ -n "$header" ] && [ -n "$library" ]; then
    options+=("-DHDF5_C_INCLUDE_DIR=$(dirname "$header")" "-DHDF5_hdf5_LIBRARY_RELEASE=$library" -DHDF5_C_COMPILER_EXECUTABLE=HDF5_C_COMPILER_EXECUTABLE-NOTFOUND)
  fi
}

# Says which tools and headers the build needs and does not find; false if any.
nothing_missing() {
  local missing=() entry
  for entry in nvcc:CUDA-toolkit cmake:cmake ninja:ninja-build g++:g++ mpiexec:mpich python3:python3; do
    command -v "${entry%%:*}" >/dev/null || missing+=("${entry%%:*} (package ${entry#*:})")
  done
  for entry in hdf5.h:libhdf5-dev boost/program_options.hpp:libboost-program-options-dev dnnl.hpp:libdnnl-dev zlib.h:zlib1g-dev \
               openssl/evp.h:libssl-dev curl/curl.h:libcurl4-openssl-dev benchmark/benchmark.h:libbenchmark-dev \
               nlohmann/json.hpp:nlohmann-json3-dev Random123/philox.h:librandom123-dev gtest/gtest.h:libgtest-dev \
               boost/context/fiber.hpp:libboost-context-dev mpi.h:libmpich-dev; do
    found "${entry%%:*}" || missing+=("${entry%%:*} (package ${entry#*:})")
  done
  [ ${#missing[@]} -eq 0 ] && return
  say "missing, neither on this machine nor below PARTITA_CARRIED=${PARTITA_CARRIED:-(not set)}:"
  say "$(printf '  %s\n' "${missing[@]}")"
  return 1
}

# Whether a header can be included as the build includes it.
found() {
  local compiler=g++
  [ "$1" != mpi.h ] || [ -n "${PARTITA_CARRIED:-}" ] || compiler=mpicxx
  echo "#include <$1>" | "$compiler" -std=c++20 -I/usr/include/hdf5/serial -E -x c++ - >/dev/null 2>&1
}

need_programs() {
  [ -x "$build/bin/$1" ] || { say "$build/bin/$1 is not there: run the piece build first"; return 2; }
}

# Says why there is no device; false if so.
need_device() {
  need_programs partita-bench-kernels || return
  local message
  message=$("$build/bin/partita-bench-kernels" --backend=cuda --benchmark_list_tests 2>&1 >/dev/null) && return
  say "no device: ${message:-unknown}"
  return 2
}

piece_build() {
  nothing_missing || return 2
  run cmake --preset cuda "${options[@]}" && run cmake --build --preset cuda -j "$(nproc)"
}

piece_tests() {
  need_device || return
  run ctest --test-dir "$build" -L gpu --output-on-failure --no-tests=error --output-junit "$out/tests.xml"
}

piece_sanitizer() {
  need_device || return
  local tool test failed=0
  if ! command -v compute-sanitizer >/dev/null; then
    say "compute-sanitizer is not on this machine: memcheck and racecheck did NOT run"
    return 0
  fi
  for tool in memcheck racecheck; do
    for test in kernels_cuda images_gpu cuda_gemm hopper_bf16_on_gpu; do
      [ -x "$build/bin/test_$test" ] || { say "test_$test is not there"; failed=1; continue; }
      run timeout -k 5 150 compute-sanitizer --tool "$tool" --error-exitcode 9 "$build/bin/test_$test" || { say "$tool $test: exit code $?"; failed=1; }
    done
  done
  return "$failed"
}

# bench NAME FILTER OPTION…: a part of the benchmarks to NAME.txt's place and NAME.h5.
bench() {
  run "$build/bin/partita-bench-kernels" --backend=cuda "--benchmark_filter=$2" "--output=$out/$1.h5" --overwrite "${@:3}"
}

piece_gemm() {
  need_device || return
  local arithmetic failed=0
  for arithmetic in fp32 tf32 bf16; do
    bench "gemm_$arithmetic" "^gemm/$arithmetic" "--gemm-table=$out/gemm_$arithmetic.csv" || failed=1
  done
  run "$build/bin/partita-bench-kernels" --backend=cuda --table | grep "^|" | tee "$out/ladder.md"
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
  return "$failed"
}

piece_layers() {
  need_device || return
  local failed=0
  bench layers '^layer/' || failed=1
  bench convolutions '^conv_' || failed=1
  return "$failed"
}

# train RANKS NAME OPTION…: false where it failed; what a grid cannot be is said and is no failure.
train() {
  local ranks=$1 name=$2 status
  run mpiexec -n "$ranks" "$build/bin/partita-train" --compute.backend=cuda "--output=$out/$name.h5" "${@:3}"
  status=$?
  [ "$status" -ne 2 ] || { say "$name: not possible, as it says"; return 0; }
  [ "$status" -eq 0 ] || { say "$name: exit code $status"; return 1; }
}

piece_training() {
  need_device || return
  local config strategy ranks failed=0 configs=(random_mlp_tiny random_vgg_small)
  if [ -d "${PARTITA_DATA_DIR:-/nonexistent}/mnist" ]; then
    configs=(mnist_mlp mnist_cnn mnist_lenet5 mnist_mlp_wide mnist_mlp_deep random_vgg_small)
    train 1 accuracy_mlp --config=inputs/runs/mnist_mlp.ini || failed=1
    train 1 accuracy_cnn --config=inputs/runs/mnist_cnn.ini || failed=1
  else
    say "PARTITA_DATA_DIR has no mnist: only random data, no accuracy"
  fi
  for config in "${configs[@]}"; do
    for ranks in 1 2 4; do
      for strategy in data layer tensor hybrid; do
        [ "$ranks" -gt 1 ] || [ "$strategy" = data ] || continue
        train "$ranks" "train_${config}_${strategy}_$ranks" "--config=inputs/runs/$config.ini" "--strategy=$strategy" \
              --train.steps=20 --evaluate.every=0 || failed=1
      done
    done
  done
  return "$failed"
}

piece_pytorch() {
  need_device || return
  [ -d "${PARTITA_DATA_DIR:-/nonexistent}/mnist" ] || { say "PARTITA_DATA_DIR has no mnist"; return 2; }
  "$python" -c 'import torch, numpy; assert torch.cuda.is_available()' 2>/dev/null ||
    { say "$python has no torch that finds the device; PARTITA_PYTHON names another interpreter"; return 2; }
  run "$python" apps/peers/compare_with_pytorch.py --device cuda --binaries "$build/bin" --python "$python" --json "$out/pytorch.json"
}

usage() {
  sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
  exit 2
}

[ $# -eq 2 ] || usage
wanted=$1
[ "$wanted" = all ] || [[ " ${pieces[*]} " == *" $wanted "* ]] || usage
mkdir -p "$2" || exit 2
out=$(cd "$2" && pwd)
options=()
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
[ ! -d /usr/local/cuda/bin ] || export PATH="$PATH:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer"
use_carried

worst=0
for piece in "${pieces[@]}"; do
  [ "$wanted" = all ] || [ "$wanted" = "$piece" ] || continue
  started=$SECONDS
  : >"$out/$piece.txt"
  status=0
  case "$piece" in
    build) piece_build ;;
    tests) piece_tests ;;
    sanitizer) piece_sanitizer ;;
    gemm) piece_gemm ;;
    layers) piece_layers ;;
    training) piece_training ;;
    pytorch) piece_pytorch ;;
  esac || status=$?
  case "$status" in
    0) verdict=passed ;;
    2) verdict="did NOT run: $(tail -n 1 "$out/$piece.txt")" ;;
    *) verdict="FAILED ($piece.txt)" ;;
  esac
  echo "$piece: $verdict, $((SECONDS - started)) s" | tee -a "$out/summary.txt"
  # A failure outweighs what is missing.
  case "$status" in
    0) ;;
    2) [ "$worst" -eq 1 ] || worst=2 ;;
    *) worst=1 ;;
  esac
  # Nothing else can run without programs.
  if [ "$piece" = build ] && [ "$status" -ne 0 ]; then break; fi
done
exit "$worst"

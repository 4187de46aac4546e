#!/usr/bin/env bash
# Checks Partita on a machine that has a GPU and little else, in minutes: everything is built and packed here, and started there.
#
#   bash scripts/gpu_check.sh pack ARCHIVE.tar.xz [--build FOLDER | CMAKE_OPTION…]     here; PARTITA_DATA_DIR must have mnist
#   tar -xf ARCHIVE.tar.xz && bash gpu-check/gpu_check.sh run OUT_DIR [STAGE…]         there
#
# The archive holds programs and tests (compiled in build/gpu-check for 90a and x86-64-v3, or as they are in FOLDER), MPICH's launcher,
# all libraries but the C and C++ runtimes, the inputs and MNIST; 60 MiB at most. No MPI, HDF5, Boost or oneDNN is needed there, but
# NVIDIA's driver and, to compare with, cuBLASLt. Stages, all in turn if none is named:
#
#   start        every program starts; two ranks train on the CPU (needs no GPU)
#   correctness  kernels against the double reference, memcheck, the programs and every decomposition on ranks that share the device
#   figures      products beside cuBLASLt, layers, convolutions, training, PyTorch on the same device (the last needs python3 with torch)
#
# Each piece has a limit of its own. One that outlives it may have left a kernel on the device: no later group of pieces starts.
# OUT_DIR/summary.txt (a line for each piece) and OUT_DIR/logs.tar.gz (what they said and wrote) are made anew after each.
# Exit code: 0 all passed; 1 something failed; 2 something did not run, such as for want of a device: said on the standard error.
set -uo pipefail

readonly most_mebibytes=60
readonly programs=(partita-train partita-infer partita-compare partita-bench-kernels)
readonly kernel_tests=(kernels_cuda images_gpu cuda_add_buffers cuda_gemm hopper_bf16_on_gpu)
readonly rank_tests=(cuda_training shared_device)
readonly packed=("${programs[@]}" test_kernels test_cuda_devices test_cublas_on_gpu "${kernel_tests[@]/#/test_}" "${rank_tests[@]/#/test_}")

fail() { printf 'gpu_check.sh: %s\n' "$@" >&2; exit 2; }

# ---- pack

# Shared libraries of programs, but those that belong to the machine's C and C++ runtimes and dynamic linker.
closure() {
  ldd "$@" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libutil|libstdc\+\+|libgcc_s|libcuda)\.so'
}

# Programs with all that they need in folder $1/gpu-check; $2: the build's folder.
gather() {
  local root=$1/gpu-check bin=$2/bin file
  mkdir -p "$root"/{bin,lib,libexec,data/mnist,tests/apps,scripts} || return
  for file in "${packed[@]}"; do
    strip -o "$root/bin/$file" "$bin/$file" || return
  done
  for file in mpiexec.hydra hydra_pmi_proxy; do cp -L "$(command -v "$file")" "$root/libexec/" || return; done
  closure "$root"/bin/* "$root"/libexec/* | while read -r file; do
    strip -o "$root/lib/$(basename "$file")" "$file" || exit
  done || return
  # Ranks of one host: nothing but the loopback and shared memory, whatever the host is called and has.
  cat >"$root/bin/mpiexec" <<'END' || return
#!/usr/bin/env bash
here=$(cd "$(dirname "$0")/.." && pwd)
export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} UCX_TLS=${UCX_TLS:-self,sm} HYDRA_IFACE=${HYDRA_IFACE:-lo}
exec "$here/libexec/mpiexec.hydra" "$@"
END
  chmod +x "$root/bin/mpiexec"
  cp -rL inputs "$root/" && cp "$PARTITA_DATA_DIR"/mnist/*-ubyte.gz "$root/data/mnist/" && cp tests/apps/cuda_test.py "$root/tests/apps/" &&
    cp tests/jobs.py "$root/tests/" && cp scripts/compare_with_pytorch.py "$root/scripts/" && cp scripts/gpu_check.sh "$root/" &&
    git describe --always --dirty >"$root/commit.txt"
}

pack() {
  local archive=$1 build=build/gpu-check folder missing=() tool size
  shift
  for tool in mpiexec.hydra hydra_pmi_proxy strip xz; do command -v "$tool" >/dev/null || missing+=("pack needs the program $tool"); done
  [ -d "${PARTITA_DATA_DIR:-/nonexistent}/mnist" ] || missing+=("pack needs PARTITA_DATA_DIR with mnist: partita-data fetch mnist --dir DIR gets it")
  [ ${#missing[@]} -eq 0 ] || fail "${missing[@]}"
  mkdir -p "$(dirname "$archive")" && archive=$(cd "$(dirname "$archive")" && pwd)/$(basename "$archive") || exit
  if [ "${1:-}" = --build ]; then
    build=$(cd "${2:?--build needs a folder}" && pwd) || exit 2
    cd "$(dirname "$0")/.." || exit
  else
    cd "$(dirname "$0")/.." || exit
    cmake --preset cuda -B "$build" -DPARTITA_CUDA_ARCHITECTURES=90a-real -DPARTITA_CPU_ARCH=x86-64-v3 "$@" >&2 &&
      cmake --build "$build" -j "$(bash scripts/cores.sh)" --target "${packed[@]}" >&2 || exit 1
  fi
  folder=$(mktemp -d "$build/pack.XXXXXX") || exit 1
  # shellcheck disable=SC2064  # the folder of now
  trap "rm -rf '$folder' '$archive.partial'" EXIT
  # What is the same in several programs lies within the dictionary.
  gather "$folder" "$build" && tar -C "$folder" -cf - gpu-check | xz --lzma2=preset=3,dict=128MiB >"$archive.partial" || exit 1
  size=$((($(stat -c %s "$archive.partial") + 1048575) / 1048576))
  [ "$size" -le "$most_mebibytes" ] || fail "the archive has $size MiB; $most_mebibytes are allowed"
  mv "$archive.partial" "$archive" && echo "$archive: $size MiB"
}

# ---- run

# keep NAME VERDICT SECONDS: a piece's line, and the archive of what all have written so far.
keep() {
  (
    flock 9
    printf '%-28s %s, %d s\n' "$1" "$2" "$3" | tee -a "$logs/summary.txt"
    cp "$logs/summary.txt" "$out/summary.txt.partial" && mv "$out/summary.txt.partial" "$out/summary.txt"
    tar -C "$logs" -czf "$out/logs.tar.gz.partial" . 2>/dev/null
    mv "$out/logs.tar.gz.partial" "$out/logs.tar.gz"
  ) 9>"$logs/.lock"
}

# What a test says that it skipped, such as for want of a device or of a library.
skipped() { grep -m 1 -iE '^SKIP|\[  SKIPPED \]|^skipped' "$1"; }

# piece NAME SECONDS COMMAND…: runs it with its text in NAME.txt; what took too long is ended.
piece() {
  local name=$1 limit=$2 begin=$SECONDS status=0 verdict words
  shift 2
  { printf '$ %s\n' "$*"; timeout -k 5 "$limit" "$@"; } >"$logs/$name.txt" 2>&1 </dev/null || status=$?
  case "$status" in
    0 | 77)
      words=$(skipped "$logs/$name.txt")
      [ "$status" -eq 0 ] || words=${words:-exit code 77, $(tail -n 1 "$logs/$name.txt" | cut -c 1-100)}
      # What only starts may find no device, and says so.
      if [ -z "$words" ]; then verdict=passed
      elif [[ $name = start_* ]]; then verdict="passed: $words"
      # One test of many may need what a system does not give, such as huge pages.
      elif [ "$status" -eq 0 ] && grep -q '\[  PASSED  \] [1-9]' "$logs/$name.txt"; then verdict="passed: $words"
      else verdict="did NOT run: $words"; fi ;;
    # The sanitizer is slow, which is no sign of a kernel that never ends.
    124 | 137) verdict="FAILED: cut off after $limit s"; [[ $name = memcheck* ]] || : >"$logs/hung" ;;
    *) verdict="FAILED: exit code $status, $(tail -n 1 "$logs/$name.txt" | cut -c 1-100)" ;;
  esac
  keep "$name" "$verdict" $((SECONDS - begin))
}

# Whether pieces may start that need the device; waits for those before.
go_on() {
  wait
  [ ! -e "$logs/hung" ] || { keep "$1" "did NOT run: something before it hung" 0; return 1; }
}

train() {  # ranks, run file, options…
  local ranks=$1 run=$2
  shift 2
  echo mpiexec -n "$ranks" partita-train "--config=inputs/runs/$run.ini" "$@"
}

stage_start() {
  local program
  for program in "${programs[@]}"; do piece "start_$program" 30 "$program" --version & done
  for program in cublas_on_gpu "${kernel_tests[@]}" "${rank_tests[@]}"; do piece "start_$program" 30 "test_$program" --gtest_list_tests & done
  piece start_devices 30 test_cuda_devices &
  piece kernels_on_cpu 60 test_kernels &
  wait
  # shellcheck disable=SC2046  # words without blanks
  piece start_two_ranks 60 $(train 2 mnist_mlp --compute.backend=cpu --grid.data=2 --train.steps=3 --data.test-samples=100)
}

# Why there is no device, empty where there is one.
no_device() { { partita-bench-kernels --backend=cuda --benchmark_list_tests >/dev/null; } 2>&1; }

stage_correctness() {
  local test ranks
  go_on correctness || return
  piece devices 60 test_cuda_devices &
  for test in "${kernel_tests[@]}"; do piece "$test" 90 "test_$test" & done
  piece cublas_on_gpu 90 test_cublas_on_gpu &
  go_on ranks || return
  for ranks in 1 2 4; do
    for test in "${rank_tests[@]}"; do piece "${test}_$ranks" 100 mpiexec -n "$ranks" "test_$test" & done
  done
  piece programs 100 "${python[@]}" tests/apps/cuda_test.py "$here/bin/mpiexec" "$here/bin/partita-train" "$here/bin/partita-infer" "$here" &
  if command -v compute-sanitizer >/dev/null; then
    for test in hopper_bf16_on_gpu images_gpu cuda_gemm; do
      piece "memcheck_$test" 100 compute-sanitizer --tool memcheck --error-exitcode 9 "test_$test" &
    done
  else
    keep memcheck "did NOT run: compute-sanitizer is not on this machine" 0
  fi
  wait
}

# bench NAME SECONDS OPTION…: every sample to NAME.h5.
bench() {
  piece "$1" "$2" partita-bench-kernels --backend=cuda --repetitions=7 --proposals=4 "--output=$logs/$1.h5" --overwrite "${@:3}"
}

stage_figures() {
  local arithmetic
  go_on figures || return
  piece ladder 60 partita-bench-kernels --backend=cuda --repetitions=7 --proposals=8 --table
  go_on products || return
  for arithmetic in fp32 tf32 bf16; do
    bench "products_$arithmetic" 90 "--benchmark_filter=^gemm/$arithmetic" "--gemm-table=$logs/products_$arithmetic.csv"
  done
  awk 'FNR > 2 || NR == FNR' "$logs"/products_*.csv >"$logs/gemm.csv" 2>/dev/null  # as inputs/machines has one
  bench layers 40 --benchmark_filter=^layer/
  bench convolutions 30 --benchmark_filter=^conv_
  go_on training || return
  # shellcheck disable=SC2046  # words without blanks
  {
    piece train_mlp 30 $(train 1 mnist_mlp --compute.backend=cuda "--output=$logs/mlp.h5")
    piece train_cnn 40 $(train 1 mnist_cnn --compute.backend=cuda "--output=$logs/cnn.h5")
    piece train_wide_bf16 30 $(train 1 mnist_mlp_wide --compute.backend=cuda --train.precision=bf16 --train.batch=4096 --train.epochs=10 "--output=$logs/wide.h5")
  }
  go_on pytorch || return
  "${python[@]}" -c 'import importlib.util as u; assert u.find_spec("torch")' 2>/dev/null || { keep pytorch "did NOT run: ${python[-1]} has no torch" 0; return; }
  piece pytorch 150 "${python[@]}" scripts/compare_with_pytorch.py --device cuda --pairs 2 --steps 2000 --binaries "$here/bin" --json "$logs/pytorch.json"
}

# The folder of a cuBLASLt: the toolkit's own or the one that came with PyTorch.
cublas_folder() {
  local packages
  packages=$("${python[@]}" -c 'import importlib.util as u; print(*u.find_spec("nvidia").submodule_search_locations)' 2>/dev/null)
  # shellcheck disable=SC2086  # folders of Python packages, several perhaps
  find -L /usr/local/cuda/lib64 /usr/local/cuda/targets/x86_64-linux/lib $packages -name 'libcublasLt.so.1[0-9]' -printf '%h\n' 2>/dev/null | head -n 1
}

run() {
  local stage problem libraries stages
  here=$(cd "$(dirname "$0")" && pwd)
  mkdir -p "$1" || exit 2
  out=$(cd "$1" && pwd)
  shift
  stages=("$@")
  [ ${#stages[@]} -gt 0 ] || stages=(start correctness figures)
  for stage in "${stages[@]}"; do [[ $stage =~ ^(start|correctness|figures)$ ]] || fail "there is no stage $stage: start, correctness or figures"; done
  [ -x "$here/bin/partita-train" ] || fail "$here/bin/partita-train is not there: pack an archive, unpack it, run its gpu_check.sh"
  cd "$here" || exit 2
  logs=$here/logs
  rm -rf "$logs" && mkdir "$logs" || exit 2
  python=("${PARTITA_PYTHON:-python3}")
  export PARTITA_DATA_DIR=$here/data UCX_TLS=self,sm LC_ALL=C.UTF-8
  export PATH=$here/bin:$PATH:/usr/local/cuda/bin:/usr/local/cuda/compute-sanitizer
  libraries=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$(cublas_folder)
  python=(env "LD_LIBRARY_PATH=$libraries" "${python[@]}")  # which has libraries of its own
  export LD_LIBRARY_PATH=$here/lib:$libraries
  for stage in "${stages[@]}"; do
    if [ "$stage" != start ]; then
      problem=$(no_device) || { keep "$stage" "did NOT run: ${problem:-no device}" 0; continue; }
    fi
    case "$stage" in
      start) stage_start ;;
      correctness) stage_correctness ;;
      figures) stage_figures ;;
    esac
  done
  ! grep -q 'FAILED' "$logs/summary.txt" || exit 1
  ! grep 'did NOT run' "$logs/summary.txt" >&2 || exit 2
}

case "${1:-}" in
  pack) [ $# -ge 2 ] && pack "${@:2}" && exit ;;
  run) [ $# -ge 2 ] && run "${@:2}" && exit ;;
esac
sed -n '2,/^set /p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
exit 2

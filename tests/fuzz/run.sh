#!/usr/bin/env bash
# Fuzzes the readers of text and data sets: first every file of the corpus, then SECONDS of new inputs for each target, all targets at once.
# usage: tests/fuzz/run.sh [SECONDS]; exit 77 without clang's libFuzzer. An input that fails is left in
# build/fuzz/failures: mend the reader, then keep the input under tests/fuzz/corpus/TARGET.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-600}
[[ "$seconds" =~ ^[0-9]{1,6}$ ]] || { echo "usage: tests/fuzz/run.sh [SECONDS]" >&2; exit 2; }
targets=(idx cifar class_names gzip run_file model_lines algorithm_table machine)

build=${PARTITA_FUZZ_BUILD:-build/fuzz}
if [ ! -f "$build/build.ninja" ]; then
  clang=
  for candidate in clang++-14 clang++-15 clang++-16 clang++-17 clang++-18 clang++-19 clang++; do
    if command -v "$candidate" >/dev/null &&
      echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }' |
        "$candidate" -x c++ - -fsanitize=fuzzer,address -o /dev/null 2>/dev/null; then
      clang=$candidate
      break
    fi
  done
  [ -n "$clang" ] || { echo "SKIP: no clang++ with libFuzzer here (packages clang and libclang-rt-14-dev)"; exit 77; }
  cmake -G Ninja -S tests/fuzz/targets -B "$build" -DCMAKE_C_COMPILER="${clang/++/}" -DCMAKE_CXX_COMPILER="$clang" >/dev/null
fi
cmake --build "$build" --target "${targets[@]}" >"$build/build.log" || { cat "$build/build.log"; exit 1; }

mkdir -p "$build/failures"
# A short run begins with the kept corpus alone, a long one goes on where the last one ended.
grown=$build/corpus
if [ "$seconds" -le 10 ]; then grown=$build/fresh && rm -rf "$grown"; fi

fuzz() {  # one target, quietly; its log says the rest
  local target=$1 options dictionary=tests/fuzz/corpus/$1.dict
  mkdir -p "$grown/$target"
  options=(-timeout=100 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1 -artifact_prefix="$build/failures/$target-")
  [ ! -f "$dictionary" ] || options+=(-dict="$dictionary")
  [ "$seconds" -gt 0 ] && options+=(-max_total_time="$seconds") || options+=(-runs=0)
  "$build/$target" "${options[@]}" "$grown/$target" "tests/fuzz/corpus/$target" >"$build/$target.log" 2>&1
}

declare -A running
for target in "${targets[@]}"; do
  fuzz "$target" &
  running[$target]=$!
done
status=0
for target in "${targets[@]}"; do
  if wait "${running[$target]}"; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$target.log")
    echo "$target: $runs inputs, $(ls "tests/fuzz/corpus/$target" | wc -l) of them from the corpus, none failed"
  else
    status=1
    tail -40 "$build/$target.log"
    echo "$target: FAILED, the input is in $build/failures"
  fi
done
exit $status

#!/usr/bin/env bash
# Tests, with all set-up. Usage: tests/run.sh [--full [--shard k/n] | --beside N] [-R FILTER]
# Without options: the tests labelled fast. --full: all, or the k-th of n parts. --beside: the fast ones beside N processes
# that compute all the time; 0: for the record only. Records of both go to results/reference/. -R: of these the tests whose names
# match a regular expression, as of ctest -R; no record.
set -euo pipefail
cd "$(dirname "$0")/.."

full=false
shard=1/1
beside=
filter=
while [ $# -gt 0 ]; do
  case "$1" in
    --full) full=true ;;
    --shard) shard="${2:?--shard needs k/n}"; shift ;;
    --beside) beside="${2:?--beside needs a number of processes}"; shift ;;
    -R) filter="${2:?-R needs a regular expression, such as step}"; shift ;;
    *) echo "tests/run.sh: unknown option $1; there are --full, --shard k/n, --beside N and -R REGEX" >&2; exit 2 ;;
  esac
  shift
done
[[ "$shard" =~ ^[1-9][0-9]{0,3}/[1-9][0-9]{0,3}$ ]] && [ "${shard%/*}" -le "${shard#*/}" ] ||
  { echo "tests/run.sh: --shard is k/n with 1 <= k <= n, such as 1/4" >&2; exit 2; }
$full || [ "$shard" = 1/1 ] || { echo "tests/run.sh: --shard belongs to --full" >&2; exit 2; }
[[ "$beside" =~ ^[0-9]{0,3}$ ]] || { echo "tests/run.sh: --beside is a number of processes below 1000, such as 8" >&2; exit 2; }
! $full || [ -z "$beside" ] || { echo "tests/run.sh: --beside is for the fast tests, without --full" >&2; exit 2; }

bash scripts/install_dependencies.sh --tests
# The first interpreter that can open result files: another python3 may stand before the system's.
python=python3
for candidate in python3 /usr/bin/python3; do
  if "$candidate" -c 'import h5py' 2>/dev/null; then python=$candidate; break; fi
done
# A warning of a newer compiler stops no one but the project's own checks (preset ci); both presets build in build/release.
cmake --preset "${PARTITA_PRESET:-release}" -DPython3_EXECUTABLE="$(command -v "$python")" >/dev/null
cores=$(bash scripts/cores.sh)
cmake --build --preset release -j "$cores"

# Beside others a test waits for a core most of the time: more tests at once win more of the cores, and are disturbed more.
jobs=$cores
[ "${beside:-0}" -eq 0 ] || jobs=$((4 * cores))
arguments=(--test-dir build/release --output-on-failure --no-tests=error --output-junit tests.xml -j "$jobs")
if $full; then arguments+=(-I "${shard%/*},,${shard#*/}"); else arguments+=(-L '^fast$'); fi
[ -z "$filter" ] || arguments+=(-R "$filter")
status=0
failed=build/release/Testing/Temporary/LastTestsFailed.log
rm -f "$failed"
read -r -a load </proc/loadavg
SECONDS=0
bash tests/beside.sh "${beside:-0}" ctest "${arguments[@]}" || status=$?
taken=$SECONDS
# The slowest tests, so that a set that grows too long is seen.
"$python" - build/release/tests.xml <<'END' >&2
import sys
import xml.etree.ElementTree as xml
cases = sorted(xml.parse(sys.argv[1]).getroot().findall("testcase"), key=lambda case: -float(case.get("time")))
print("slowest:", ", ".join(f"{case.get('name')} {float(case.get('time')):.1f} s" for case in cases[:10]))
END

if [ -e "$failed" ]; then
  {
    echo "to run a test that failed again:"
    sed 's/^[0-9]*:\(.*\)/  ctest --test-dir build\/release --output-on-failure -R '"'^\1\$'/" "$failed"
    echo "all of them: ctest --test-dir build/release --output-on-failure --rerun-failed"
    echo "what they printed: build/release/Testing/Temporary/LastTest.log"
  } >&2
fi

keep_record() {  # name, then what record.py is told
  mkdir -p results/reference
  "$python" tests/record.py build/release/tests.xml "wall_seconds=$taken" "load_before=${load[0]}" "${@:2}" >build/release/record.json &&
    mv build/release/record.json "results/reference/$1.json" || status=1
}
if [ -n "$filter" ]; then
  exit $status
elif $full; then
  name="full-tests"
  [ "$shard" = 1/1 ] || name="full-tests-${shard/\//-of-}"
  keep_record "$name" "shard=$shard"
elif [ -n "$beside" ]; then
  run=1
  while [ -e "results/reference/fast-tests-beside-$beside-run-$run.json" ]; do run=$((run + 1)); done
  keep_record "fast-tests-beside-$beside-run-$run" "busy_processes=$beside"
fi
exit $status

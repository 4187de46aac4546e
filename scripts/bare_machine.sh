#!/usr/bin/env bash
# Proves the README's two commands on machines that have nothing: for each suite of Debian a new minimal root, a clone of
# this checkout's HEAD in it, `bash apps/demo.sh`, `bash tests/run.sh`, and, where both passed, a record in
# results/reference/bare-<suite>[-<case>].txt.
#
# Usage: scripts/bare_machine.sh [--user] [--nvcc] [--openmpi] [--quick | --again] [suite…]      (suites: bookworm trixie)
#   --user     as a user with sudo instead of root
#   --nvcc     with this machine's CUDA toolkit (/usr/local/cuda) laid into the root, read-only
#   --openmpi  with Debian's Open MPI installed beforehand
#   --quick    only install and configure with tests, which finds every package; leaves no record, and does nothing where this passed before with the same files
#   --again    in the root that a failed run left, with this checkout's HEAD; the record says so
# Roots and what passed are kept in PARTITA_BARE_DIR (default: ~/.cache/partita/bare), some 6 GB for each suite while it runs.
# Needs: root, mmdebstrap, unshare, setpriv and chroot, a Debian mirror (PARTITA_BARE_MIRROR, default: this machine's), and for suites newer than
# this machine's keys debian-archive-keyring of that suite.
set -euo pipefail
cd "$(dirname "$0")/.."

user=root
nvcc=false
openmpi=false
quick=false
again=false
suites=()
for argument in "$@"; do
  case "$argument" in
    --user) user=partita ;;
    --nvcc) nvcc=true ;;
    --openmpi) openmpi=true ;;
    --quick) quick=true ;;
    --again) again=true ;;
    -*) echo "bare_machine.sh: unknown option $argument; see the head of this script" >&2; exit 2 ;;
    *) suites+=("$argument") ;;
  esac
done
[ ${#suites[@]} -gt 0 ] || suites=(bookworm trixie)

lacking=()
[ "$(id -u)" -eq 0 ] || lacking+=("root (it makes a root file system and enters it)")
for tool in mmdebstrap unshare setpriv chroot git; do command -v "$tool" >/dev/null || lacking+=("the program $tool"); done
$nvcc && [ ! -x /usr/local/cuda/bin/nvcc ] && lacking+=("nvcc in /usr/local/cuda/bin")
if [ ${#lacking[@]} -gt 0 ]; then
  printf 'bare_machine.sh needs %s\n' "${lacking[@]}" >&2
  exit 2
fi

cache=${PARTITA_BARE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/partita/bare}
mirror=${PARTITA_BARE_MIRROR:-$(sed -n 's/^URIs: //p; s/^deb \(\[[^]]*\] \)\?\([^ ]*\).*/\2/p' /etc/apt/sources.list \
                                /etc/apt/sources.list.d/* 2>/dev/null | head -n 1 || true)}
case_name=""
[ "$user" = root ] || case_name+=-user
! $nvcc || case_name+=-nvcc
! $openmpi || case_name+=-openmpi
mkdir -p "$cache"

# Runs a command that ends with this script: of a signal by `end`, of a kill by what setpriv asks of the kernel.
running=""
end() { [ -z "$running" ] || kill -"$ending" "$running" 2>/dev/null || true; }
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
tied() {  # signal that ends it, command…
  local status=0
  ending=$1
  setpriv --pdeathsig "$1" "${@:2}" </dev/null &  # in the background, so that a signal is answered at once
  running=$!
  wait "$running" || status=$?
  running=""
  return "$status"
}

# A minimal root of one suite; packages come later, as on a new machine. Releases of testing expire where a mirror lags behind.
make_root() {  # suite, folder
  [ -f "$cache/$1.tar" ] || {
    rm -rf --one-file-system "$cache/$1.tar" "$cache/$1.tar.partial"
    tied TERM mmdebstrap --quiet --variant=minbase --format=tar --aptopt='Acquire::Check-Valid-Until "false"' "$1" "$cache/$1.tar.partial" "$mirror"
    mv "$cache/$1.tar.partial" "$cache/$1.tar"
  }
  rm -rf --one-file-system "$2"
  mkdir -p "$2"
  tar -C "$2" -xf "$cache/$1.tar"
  cp -L /etc/resolv.conf "$2/etc/resolv.conf"
  [ -e "$2/etc/hosts" ] || echo "127.0.0.1 localhost" >"$2/etc/hosts"  # what an installer writes
}

# Runs a command in the root, in namespaces that end with it. Nothing of this machine's environment gets in but proxies.
inside() {  # folder, user, command…
  local root=$1 as=$2
  shift 2
  local environment=("HOME=$home" "USER=$as" PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8)
  for name in http_proxy https_proxy no_proxy; do [ -z "${!name:-}" ] || environment+=("$name=${!name}"); done
  if $nvcc; then environment+=("PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin:/usr/local/cuda/bin"); fi
  # unshare itself does not hear INT and TERM. Its child is to end with it and stays root therefore: who becomes another user is
  # not asked to any more.
  # shellcheck disable=SC2016  # expanded inside
  tied KILL unshare --mount --pid --fork --kill-child --mount-proc="$root/proc" bash -c '
    root=$1 nvcc=$2 user=$3; shift 3
    mount --rbind /dev "$root/dev" && mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" && mount -t tmpfs tmpfs "$root/run"
    mount --rbind /sys "$root/sys" 2>/dev/null || true
    if $nvcc; then mkdir -p "$root/usr/local/cuda" && mount --rbind "$(realpath /usr/local/cuda)" "$root/usr/local/cuda"; fi
    status=0
    chroot --userspec="$user" --groups= "$root" /usr/bin/env -i "$@" || status=$?
    exit $status' \
    inside "$root" "$nvcc" "$as" "${environment[@]}" bash -c "$*"
}

timed() {  # name, command…: its output to the log, its seconds and exit code to the record
  local start=$SECONDS status=0
  inside "$folder" "$user" "cd $home/partita && $2" >>"$log" 2>&1 || status=$?
  printf '%-24s exit %d, %d s\n' "$1" "$status" $((SECONDS - start)) | tee -a "$record" >&2
  return "$status"
}

# A new root with what is there beforehand and a clone of this checkout.
prepare() {  # suite
  local beforehand=()
  make_root "$1" "$folder"
  [ "$user" = root ] || beforehand+=(sudo)
  ! $openmpi || beforehand+=(openmpi-bin libopenmpi-dev)
  if [ ${#beforehand[@]} -gt 0 ]; then
    inside "$folder" root "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends ${beforehand[*]}" \
      >>"$log" 2>&1 || { tail -n 5 "$log" >&2; echo "bare $1: ${beforehand[*]} cannot be installed" >&2; exit 1; }
  fi
  if [ "$user" != root ]; then
    chroot "$folder" bash -c "useradd -m -s /bin/bash $user && echo '$user ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/$user"
  fi
  git clone --quiet --no-hardlinks --config advice.detachedHead=false . "$folder$home/partita"
}

failed=0
for suite in "${suites[@]}"; do
  files=$(git ls-tree -r HEAD CMakeLists.txt CMakePresets.json apps lib kernels tests inputs slurm scripts | git hash-object --stdin)
  passed="$cache/passed-$suite$case_name-$files"
  if $quick && [ -e "$passed" ]; then
    echo "bare $suite: passed before with the same files" >&2
    continue
  fi
  folder="$cache/$suite$case_name"
  log="$folder.log"
  record="$folder.record"
  home=/root
  exec 9>"$folder.lock"
  flock --nonblock 9 || { echo "bare $suite: another run of this script uses $folder" >&2; exit 1; }
  [ "$user" = root ] || home=/home/$user
  printf '%s%s, %s, %s cores, load %s\n' "Debian $suite$case_name" "$(! $again || echo ', again in the root of an earlier run')" \
    "$(git rev-parse --short HEAD)" "$(bash scripts/cores.sh)" "$(cut -d' ' -f1 /proc/loadavg)" >"$record"
  : >"$log"
  if $again; then
    [ -d "$folder$home/partita" ] || { echo "bare $suite: no earlier run left a root in $folder" >&2; exit 2; }
    git -C "$folder$home/partita" -c safe.directory='*' fetch --quiet "$PWD" HEAD
    git -C "$folder$home/partita" -c safe.directory='*' checkout --quiet --force --detach FETCH_HEAD
  else
    prepare "$suite"
  fi
  chroot "$folder" chown -R "$user:" "$home/partita"
  status=0
  if $quick; then
    timed install "bash scripts/install_dependencies.sh --tests" && timed configure "cmake --preset release" || status=$?
  else
    timed apps/demo.sh "bash apps/demo.sh" || status=$?
    timed tests/run.sh "bash tests/run.sh" || status=$?
    { inside "$folder" "$user" "cd $home/partita && build/release/bin/partita-train --version" || true
      grep -E '^STATUS:|tests passed|The following tests (FAILED|did not run)|^\s+[0-9]+ - |slowest:' "$log" || true; } >>"$record" 2>&1
  fi
  if [ "$status" -eq 0 ]; then
    touch "$passed"
    $quick || cp "$record" "results/reference/bare-$suite$case_name.txt"
    rm -rf --one-file-system "$folder"
  else
    failed=1
    tail -n 40 "$log" >&2
    echo "bare $suite: failed; the root is left in $folder, the whole log in $log, what was recorded in $record" >&2
  fi
done
exit $failed

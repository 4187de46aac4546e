#!/usr/bin/env bash
# Prints how many cores a job may use: those that it is bound to, or fewer where a control group grants less time on them
# (cpu.max of version 2, cpu.cfs_quota_us of version 1), at least one. Usage: scripts/cores.sh [ROOT]
# ROOT: the folder in which proc and sys are found. The programs count for themselves (lib/base/cores.cpp).
set -euo pipefail
root=${1:-}
cores=$(env -u OMP_NUM_THREADS -u OMP_THREAD_LIMIT nproc)  # nproc heeds these two, which are not about cores

# The group of this process and those around it: folder of the tree, path in it. Of a tree that is seen from inside a container
# only the top may be there.
heed() {
  local group=$1${2%/} quota period
  [ -d "$group" ] || group=$1
  while [ -d "$group" ]; do
    quota=max period=
    if [ -r "$group/cpu.max" ]; then
      read -r quota period <"$group/cpu.max" || true
    elif [ -r "$group/cpu.cfs_quota_us" ] && [ -r "$group/cpu.cfs_period_us" ]; then
      quota=$(<"$group/cpu.cfs_quota_us") period=$(<"$group/cpu.cfs_period_us")
    fi
    if [[ $quota =~ ^[1-9][0-9]*$ && $period =~ ^[1-9][0-9]*$ ]] && [ $((quota / period)) -lt "$cores" ]; then
      cores=$((quota / period))
    fi
    [ "$group" != "$1" ] || break
    group=${group%/*}
  done
}

if [ -r "$root/proc/self/cgroup" ]; then
  while IFS=: read -r _ controllers path; do
    case ",$controllers," in
      ,,) heed "$root/sys/fs/cgroup" "$path" ;;
      *,cpu,*)
        tree="$root/sys/fs/cgroup/$controllers"
        [ -d "$tree" ] || tree="$root/sys/fs/cgroup/cpu"
        heed "$tree" "$path"
        ;;
    esac
  done <"$root/proc/self/cgroup"
fi
echo $((cores > 0 ? cores : 1))

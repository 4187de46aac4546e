#!/bin/sh
# A disk that is really full (a tmpfs of 256 kB in a private namespace): the first snapshot fits, the second does not.
# The error names the cause, the process ends by itself, the first snapshot stays and no temporary file does.
# usage: full_disk.sh WRITE_SAMPLE; exit 77 where namespaces are not allowed.
set -eu
if [ "${2:-}" != inside ]; then
  unshare -rm true 2>/dev/null || { echo "SKIP: no private mount namespace here"; exit 77; }
  exec unshare -rm sh "$0" "$1" inside
fi
folder=$(mktemp -d)
trap 'umount "$folder"; rmdir "$folder"' EXIT
mount -t tmpfs -o size=256k tmpfs "$folder" || { trap 'rmdir "$folder"' EXIT; echo "SKIP: no tmpfs here"; exit 77; }
"$1" "$folder/r.h5"
before=$(sha256sum "$folder/r.h5")
code=0
message=$("$1" "$folder/r.h5" steps=9000 2>&1) || code=$?
echo "$message"
[ "$code" = 1 ] || { echo "FAIL: exit $code, not 1"; exit 1; }
case "$message" in *"No space left on device"*) ;; *) echo "FAIL: the message does not name the cause"; exit 1 ;; esac
[ "$before" = "$(sha256sum "$folder/r.h5")" ] || { echo "FAIL: the snapshot changed"; exit 1; }
[ "$(ls -A "$folder")" = r.h5 ] || { echo "FAIL: left over: $(ls -A "$folder")"; exit 1; }

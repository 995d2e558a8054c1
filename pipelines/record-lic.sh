#!/bin/sh
# From the network to a .lic file as it came, nothing decoded: a receiver of pipelines/README.md. Ctrl-C ends it.
: "${NETWORK:=}" "${FRAMES:=-1}"
[ -z "${KEY:-}" ] || NETWORK="$NETWORK key-expr=$KEY"
[ -z "${CONNECT:-}" ] || NETWORK="$NETWORK connect=$CONNECT"
out=${1:?usage: record-lic.sh OUT.lic}
# shellcheck disable=SC2086
exec gst-launch-1.0 -e zenohsrc $NETWORK ! identity eos-after="$FRAMES" ! licparse ! filesink location="$out"

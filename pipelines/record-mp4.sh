#!/bin/sh
# From the network to an MP4 that every player opens: a receiver of pipelines/README.md. Ctrl-C ends it and closes the file.
: "${NETWORK:=}" "${FRAMES:=-1}"
[ -z "${KEY:-}" ] || NETWORK="$NETWORK key-expr=$KEY"
[ -z "${CONNECT:-}" ] || NETWORK="$NETWORK connect=$CONNECT"
out=${1:?usage: record-mp4.sh OUT.mp4}
# shellcheck disable=SC2086
exec gst-launch-1.0 -e zenohsrc $NETWORK ! licdec ! identity eos-after="$FRAMES" ! videoconvert ! \
    x264enc tune=zerolatency ! h264parse ! qtmux ! filesink location="$out"

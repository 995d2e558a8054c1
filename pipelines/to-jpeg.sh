#!/bin/sh
# A .lic file, or with - what comes from the network, to a folder of JPEG files (docs/jpeg.md). Ctrl-C ends it.
: "${NETWORK:=}" "${FRAMES:=-1}" "${TRANSCODER:=lictojpeg}"
[ -z "${KEY:-}" ] || NETWORK="$NETWORK key-expr=$KEY"
[ -z "${CONNECT:-}" ] || NETWORK="$NETWORK connect=$CONNECT"
in=${1:?usage: to-jpeg.sh IN.lic|- FOLDER}
out=${2:?usage: to-jpeg.sh IN.lic|- FOLDER}
mkdir -p "$out" || exit
source="filesrc location=$in ! licparse"
[ "$in" != - ] || source="zenohsrc $NETWORK ! identity eos-after=$FRAMES"
# shellcheck disable=SC2086
exec gst-launch-1.0 -e $source ! $TRANSCODER ! multifilesink location="$out/frame%06d.jpg"

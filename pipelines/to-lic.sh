#!/bin/sh
# A video file to a .lic file (pipelines/README.md).
: "${ENCODER:=licenc}"
in=${1:?usage: to-lic.sh IN OUT.lic}
out=${2:?usage: to-lic.sh IN OUT.lic}
# shellcheck disable=SC2086
exec gst-launch-1.0 filesrc location="$in" ! decodebin ! videoconvert ! $ENCODER ! filesink location="$out"

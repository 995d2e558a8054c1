#!/bin/sh
# A .lic file to MP4, or with SINK to anything else (pipelines/README.md).
in=${1:?usage: from-lic.sh IN.lic OUT.mp4}
out=${2:?usage: from-lic.sh IN.lic OUT.mp4}
: "${SINK:=x264enc ! h264parse ! qtmux ! filesink location=$out}"
# shellcheck disable=SC2086
exec gst-launch-1.0 filesrc location="$in" ! licparse ! licdec ! videoconvert ! $SINK

#!/bin/sh
# Camera to the network: the sender of pipelines/README.md.
: "${SOURCE:=v4l2src}" "${ENCODER:=licenc}" "${NETWORK:=}"
[ -z "${KEY:-}" ] || NETWORK="$NETWORK key-expr=$KEY"
[ -z "${CONNECT:-}" ] || NETWORK="$NETWORK connect=$CONNECT"
# The words of a pipeline are split on purpose.
# shellcheck disable=SC2086
exec gst-launch-1.0 -e $SOURCE ! $ENCODER ! zenohsink $NETWORK

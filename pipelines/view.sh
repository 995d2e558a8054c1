#!/bin/sh
# From the network to a window: a receiver of pipelines/README.md.
: "${SINK:=videoconvert ! autovideosink}" "${NETWORK:=}"
[ -z "${KEY:-}" ] || NETWORK="$NETWORK key-expr=$KEY"
[ -z "${CONNECT:-}" ] || NETWORK="$NETWORK connect=$CONNECT"
# shellcheck disable=SC2086
exec gst-launch-1.0 zenohsrc $NETWORK ! licdec ! $SINK

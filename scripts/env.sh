# shellcheck shell=bash
# Sourced by every script, and by a shell that wants to run the pipelines by hand:
#   . scripts/env.sh && gst-launch-1.0 v4l2src ! licenc ! zenohsink
# All that is built or downloaded lies outside the clone, so that clones share it and deleting it costs only time.

export LIC_ROOT
LIC_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)
export LIC_CACHE=${LIC_CACHE:-$HOME/.cache/lic}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$LIC_CACHE/target}

ONNXRUNTIME_VERSION=1.23.2
export ORT_DYLIB_PATH=${ORT_DYLIB_PATH:-$LIC_CACHE/onnxruntime/$ONNXRUNTIME_VERSION/libonnxruntime.so}

# A registry of its own: this build of the plugin never reaches, nor depends on, the user's.
# The plugin alone: beside it in release/ lies a library that is no plugin.
if [[ ! -L $CARGO_TARGET_DIR/gstreamer/libgstlic.so ]]; then
    mkdir -p "$CARGO_TARGET_DIR/gstreamer" && ln -sfn ../release/libgstlic.so "$CARGO_TARGET_DIR/gstreamer/libgstlic.so"
fi
case :${GST_PLUGIN_PATH:-}: in
*:"$CARGO_TARGET_DIR/gstreamer":*) ;;
*) export GST_PLUGIN_PATH=$CARGO_TARGET_DIR/gstreamer${GST_PLUGIN_PATH:+:$GST_PLUGIN_PATH} ;;
esac
export GST_REGISTRY=${GST_REGISTRY:-$CARGO_TARGET_DIR/gst-registry.bin}

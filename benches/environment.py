"""The Python that scripts/setup made and the variables of scripts/env.sh, for whoever starts a script here directly."""
import os, sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def enter():
    """Starts the running script again inside both, unless it already is."""
    if os.environ.get("LIC_PYTHON") == sys.prefix:
        return
    line = '. "$0/scripts/env.sh" && export LIC_PYTHON="$LIC_CACHE/python" && exec "$LIC_PYTHON/bin/python" "$@"'
    os.execvp("bash", ["bash", "-c", line, ROOT, os.path.abspath(sys.argv[0]), *sys.argv[1:]])

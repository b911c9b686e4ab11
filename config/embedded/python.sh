#!/bin/sh
# Run a Python of at least 3.11 with the given arguments. One that can make virtual environments is preferred;
# without any, the bootstrap gets the chance to say in one line what is missing.
fallback=
for candidate in ${FLOTILLA_PYTHON:+"$FLOTILLA_PYTHON"} python3 python3.13 python3.12 python3.11 python3.14 python; do
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    [ -n "$fallback" ] || fallback=$candidate
    if "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        exec "$candidate" "$@"
    fi
done
[ -n "$fallback" ] && exec "$fallback" "$@"
echo "flotilla: Python 3.11 or newer is needed and was not found (python3, python3.11 ... python3.14);" \
    "install it, or name it by FLOTILLA_PYTHON=/path/to/python" >&2
exit 1

#!/bin/sh
# Prints the Python for `make test-newest`: 3.12, or the next newer one found on PATH or under pyenv.
# Prints nothing if there is none.
root="${PYENV_ROOT:-$HOME/.pyenv}/versions"
for version in 3.12 3.13 3.14; do
    for python in "python$version" "$root/$version".*/bin/python; do
        # pyenv's shims are on PATH for versions that are not in use, too: run it to know.
        if "$python" -c "" 2>/dev/null; then
            command -v "$python"
            exit
        fi
    done
done

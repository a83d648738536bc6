#!/bin/bash
# Installs the Python programs that the tests of the API document run, such as schemathesis:
#
#   deploy/python.sh
#
# Their versions and digests are in deploy/python.txt. They go to .cache/python, a virtual
# environment. It needs no root, and changes nothing outside .cache.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/.."

# The distribution's, whose package python3-venv setup.sh installs.
readonly python=/usr/bin/python3 requirements=deploy/python.txt made_by=.made-by
readonly cache=$PWD/.cache

die() {
	echo "python: $1" >&2
	echo "python: $2" >&2
	exit 1
}

mkdir -p "$cache"
exec 9>"$cache/python.lock"
flock 9
made=$(echo "$PWD" && "$python" --version && sha256sum "$requirements" deploy/python.sh)
[ "$(cat "$cache/python/$made_by" 2>/dev/null)" != "$made" ] || exit 0

echo "python: installing schemathesis and openapi-python-client into .cache/python"
# Programs of a virtual environment name its folder, so it is made where it stays.
rm -rf "$cache/python"
"$python" -m venv "$cache/python" || die "no virtual environment can be made" "Install the package python3-venv."
"$cache/python/bin/pip" install --quiet --disable-pip-version-check --no-input --require-hashes -r "$requirements" ||
	die "the Python packages could not be installed" "See the messages above; is PyPI or its mirror reachable? pip reads its address from pip.conf."
"$cache/python/bin/st" --version >/dev/null || die "schemathesis was installed, and does not run" "Try it: $cache/python/bin/st --version"
echo "$made" >"$cache/python/$made_by"

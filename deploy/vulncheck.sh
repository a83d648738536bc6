#!/bin/bash
# Looks for known vulnerabilities in what the program calls:
#
#   [RELEASE=1] deploy/vulncheck.sh MODULE@VERSION
#
# The database of vulnerabilities is on the Internet. Where it or the tool cannot be fetched, this
# prints "not checked" and fails only when a release is built (RELEASE=1).
set -euo pipefail

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT

# not_checked REASON ends the script.
not_checked() {
	echo "govulncheck: not checked: $1" >&2
	if [ -n "${RELEASE:-}" ]; then
		echo "govulncheck: a release must be checked; build it where the database can be reached, or set GOVULNDB to a copy of it" >&2
		exit 1
	fi
	exit 0
}

database=${GOVULNDB:-https://vuln.go.dev}
case $database in
http*)
	curl -fsS --max-time 10 -o /dev/null "$database/index/db.json" 2>"$bin/problem" ||
		not_checked "$database cannot be reached: $(cat "$bin/problem")" ;;
esac
GOBIN=$bin go install "$1" 2>"$bin/problem" || not_checked "$1 cannot be installed: $(cat "$bin/problem")"
"$bin/govulncheck" ./...

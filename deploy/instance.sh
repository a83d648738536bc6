# shellcheck shell=bash
# What run.sh and stop.sh share: where the instance that they start leaves its traces, and its end.
# To be sourced from the project's folder.

readonly binary=$PWD/bin/sandboxlabs run_dir=$PWD/.run stop_seconds=30
readonly pid_file=$run_dir/sandboxlabs.pid log_file=$run_dir/sandboxlabs.log

# die MESSAGE [REMEDY]
die() {
	echo "sandboxlabs: $1" >&2
	[ $# -lt 2 ] || echo "sandboxlabs: $2" >&2
	exit 1
}

# failed MESSAGE ends like die, after the last lines of the log.
failed() {
	tail -n 20 "$log_file" >&2
	die "$1" "The whole log: $log_file"
}

# instance prints the pid of the instance that runs; it fails when none does. A pid may have passed
# to another program since: only one that runs our binary counts. A binary that was rebuilt shows
# as deleted.
instance() {
	local pid program
	pid=$(cat "$pid_file" 2>/dev/null) && [ -n "$pid" ] || return 1
	program=$(readlink "/proc/$pid/exe" 2>/dev/null) || return 1
	[ "${program% (deleted)}" = "$binary" ] && echo "$pid"
}

# stop_instance ends the instance, if one runs, and waits for its end.
stop_instance() {
	local pid deadline=$((SECONDS + stop_seconds))
	if pid=$(instance); then
		kill "$pid"
		while instance >/dev/null; do
			[ "$SECONDS" -lt "$deadline" ] || die "the instance $pid does not end" "End it with: kill -9 $pid"
			sleep 0.1
		done
	fi
	rm -f "$pid_file"
}

#!/bin/bash
# Stops the service that deploy/run.sh started. The nodes keep running.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=deploy/instance.sh
. deploy/instance.sh

if pid=$(instance); then
	stop_instance
	echo "SandboxLabs has stopped (process $pid); the nodes keep running."
else
	stop_instance
	echo "SandboxLabs was not running."
fi

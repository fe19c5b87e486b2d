#!/usr/bin/env bash
# A sweep in two processes of this machine: each takes half of the batches, and both share the
# output folder. Killed at any moment, the same command goes on where it was.
#
#     examples/sweep_two_processes.sh PICTURES OUTPUT [options of `jaxviz patches`]
set -euo pipefail
pictures=${1:?a folder of pictures}
output=${2:?a folder for the results}
shift 2

run() {
    ${JAXVIZ:-jaxviz} patches "$pictures" -o "$output" \
        --coordinator "localhost:${PORT:-12355}" --num-processes 2 --process-id "$1" "${@:2}"
}

run 1 "$@" &
run 0 "$@"
wait

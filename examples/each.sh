#!/bin/sh
# Runs a command for every change of a consumer, with the change as JSON on its standard input.
#
#     each.sh NAME COMMAND [ARG...]
#
# Create the consumer first, with the filter of your choice:
#
#     ao-store consumer create alerts --type pr_check_recorded
#
# A change is acknowledged after its command succeeded, so it may be repeated after a kill, but never
# lost. Its key (log id and cursor) is in CHANGE_KEY; one that is in the file of finished keys is not run
# again. If the command fails, this ends with its status, and the next run begins with that change.
# With EACH_WAIT=0s it ends when no change is left. Needs jq, and ao-store on the PATH; AO_DATA_DIR names
# the store.
set -eu
[ $# -ge 2 ] || { echo "usage: each.sh NAME COMMAND [ARG...]" >&2; exit 2; }
name=$1
shift
finished=${XDG_STATE_HOME:-$HOME/.local/state}/each-$name
mkdir -p "$(dirname "$finished")"
touch "$finished"
batch=$(mktemp)
trap 'rm -f "$batch"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

while :; do
    status=0
    ao-store -q consumer pull "$name" --wait "${EACH_WAIT:-30s}" >"$batch" || status=$?
    case $status in
        0) ;;
        7) # The changes are gone: go on with the oldest that is kept. The message says so.
            ao-store consumer seek "$name" --to beginning >/dev/null
            continue ;;
        9) sleep 1; continue ;;  # busy
        *) exit "$status" ;;
    esac
    log=$(jq -r 'select(.control == "hello").log_id' "$batch")
    jq -c 'select(.seq)' "$batch" | while IFS= read -r change; do
        CHANGE_KEY=$log/$(printf '%s\n' "$change" | jq -r .cursor)
        export CHANGE_KEY
        grep -qxF "$CHANGE_KEY" "$finished" && continue
        printf '%s\n' "$change" | "$@" || exit
        echo "$CHANGE_KEY" >>"$finished"
    done
    # The last line is a bookmark: everything up to its cursor was printed or does not pass the filter.
    ao-store -q consumer ack "$name" "$(jq -r 'select(.control == "bookmark").cursor' "$batch")" >/dev/null
    : >"$finished"
    if [ "${EACH_WAIT:-}" = 0s ] && [ -z "$(jq -c 'select(.seq)' "$batch")" ]; then
        exit 0
    fi
done

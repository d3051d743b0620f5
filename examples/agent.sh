#!/bin/sh
# An agent in the shell: it counts the words of a message.
#   ao-store agent add words
#   ao-store worker run --agent words -- sh examples/agent.sh
# The message is on standard input, and what this prints is the reply. An exit status other than 0 fails the turn with
# what was printed on standard error.
set -eu
words=$(wc -w)
if [ "$words" -eq 0 ]; then
    echo "there is nothing to count" >&2
    exit 1
fi
echo "$((words)) words in turn $AO_TURN_ID"

#!/usr/bin/env python3
"""An agent that stays: it remembers what was said in each conversation.

    ao-store agent add memory
    ao-store worker run --agent memory --jsonl -- python3 examples/agent.py

It reads and writes one JSON object per line, as docs/worker.md describes. What it remembers is in the snapshot, which
comes back with the next turn of the conversation: it keeps nothing itself.
"""

import json
import sys


def say(turn, kind, **fields):
    print(json.dumps({"type": kind, "turn_id": turn, **fields}), flush=True)


def answer(turn, text, said):
    say(turn, "status", text="remembering")
    said = [*said, text]
    lines = [f"{number}. {line}\n" for number, line in enumerate(said, 1)]
    for line in lines:
        say(turn, "delta", text=line)
    usage = {"input": {"derived": len(text.split())}, "reasoning": "unsupported"}
    say(turn, "complete", reply="".join(lines), snapshot=json.dumps(said), usage=usage)


for line in sys.stdin:
    told = json.loads(line)
    # A cancel comes too late for an agent that answers at once.
    if told["type"] == "turn":
        try:
            answer(told["turn_id"], told["input"], json.loads(told["snapshot"] or "[]"))
        except ValueError as error:
            say(told["turn_id"], "error", text=f"the snapshot cannot be read: {error}")

"""An agent for tests: what it does with a turn is the text of the message."""
import json, os, sys, time

memory = []


def say(turn, kind, **fields):
    print(json.dumps({"type": kind, "turn_id": turn, **fields}), flush=True)


def file(name, text):
    with open(os.path.join(os.environ["D"], name), "w") as out:
        out.write(f"{text}\n")


def wait(name):
    while not os.path.exists(os.path.join(os.environ["D"], name)):
        time.sleep(0.01)


file("pid", os.getpid())
before = None
for line in sys.stdin:
    told = json.loads(line)
    turn = told["turn_id"]
    if told["type"] == "cancel":
        continue
    memory.append(told["input"])
    does, _, rest = told["input"].partition(" ")
    if does == "remember":
        known = json.loads(told["snapshot"] or "[]") + [rest]
        say(turn, "delta", text="I know ")
        say(turn, "status", text="thinking")
        say(turn, "content", text="a card")
        say(turn, "ephemeral", text="a hint")
        say(turn, "delta", text=" and ".join(known))
        usage = {"input": 7, "output": {"derived": 3}, "reasoning": "unsupported"}
        reply = "I know " + " and ".join(known)
        say(turn, "complete", reply=reply, snapshot=json.dumps(known), usage=usage)
    elif does == "count":
        say(turn, "complete", reply=str(len(memory)))
    elif does == "raw":
        print(rest, flush=True)
        say(turn, "complete", reply="too late")
    elif does == "fail":
        say(turn, "error", **json.loads(rest))
    elif does == "exit":
        say(turn, "delta", text="part")
        print("why it ended", file=sys.stderr, flush=True)
        os._exit(int(rest))
    elif does == "kill":
        os.kill(os.getpid(), 9)
    elif does == "large":
        say(turn, "complete", reply="x", snapshot="x" * int(rest))
    elif does == "long":
        sys.stdout.write("x" * int(rest))
        sys.stdout.flush()
        time.sleep(1000)
    elif does == "flood":
        while True:
            say(turn, "delta", text="x" * 10000)
    elif does == "late":
        say(turn, "complete", reply="first")
        say(turn, "delta", text="late")
        say(turn, "complete", reply="late")
        before = turn
    elif does == "echo":
        if before:
            say(before, "delta", text="later")
        say(turn, "delta", text=rest)
        say(turn, "complete", reply=rest)
    elif does == "leave":
        say(turn, "complete", reply="bye")
        sys.exit(int(rest))
    elif does == "cancel":
        say(turn, "delta", text="begun")
        told = json.loads(sys.stdin.readline())
        file("told", json.dumps(told))
        say(turn, "error", text="I was told to stop")
    elif does == "ignore":
        say(turn, "delta", text="begun")
        time.sleep(1000)
    elif does == "progress":
        for _ in range(8):
            say(turn, "progress")
            time.sleep(1)
        say(turn, "complete", reply="done")
    elif does == "ask":
        say(turn, "waiting")
        time.sleep(float(rest))
        say(turn, "complete", reply="asked")
    elif does == "learn":
        say(turn, "delta", text="begun ")
        wait("go")
        known = json.loads(told["snapshot"] or "[]") + [rest]
        say(turn, "content", text="a card")
        say(turn, "delta", text=rest * 10000)
        reply = "begun " + rest * 10000
        say(turn, "complete", reply=reply, snapshot=json.dumps(known))
    elif does == "tell":
        own = {key: value for key, value in os.environ.items() if key.startswith("AO_")}
        say(turn, "complete", reply=json.dumps([told, own]))
    elif does == "other":
        text = "of another turn"
        say(rest, "complete", reply=text, snapshot=json.dumps([text]))
    elif does == "hang":
        say(turn, "delta", text="begun")
        wait("never")

#!/bin/bash
# Upgrades a receiver of an earlier version while notifications arrive, goes back as
# docs/operations.md says, and upgrades again. Fails if a notification that was acknowledged is
# lost. Needs root, for a network of its own.
#
#     upgrade.sh OLD NEW
set -euo pipefail
if [ "${3:-}" != inside ]; then
    exec unshare --net bash "$0" "$(realpath "$1")" "$(realpath "$2")" inside
fi
ip link set lo up
manual=$PWD/docs/operations.md old=$1 new=$2
folder=$(mktemp --directory)
trap 'kill $(jobs -p) 2> /dev/null || true; rm -r "$folder"' EXIT
cd "$folder"
ln -s "$new" batchtask-new
export PATH="$folder:$PATH" BATCHTASK_READ_TOKEN=0123456789abcdef

say() { printf '\n== %s\n' "$*"; }

# Starts a program on the journal, and waits until it answers.
start() {
    "$@" serve --listen 127.0.0.1:8080 --journal sqlite:batchtask.db 2>> log & server=$!
    # Version 0.1 has no such page, but it answers.
    until curl --silent --output /dev/null http://127.0.0.1:8080/health; do
        kill -0 $server || { tail log; return 1; }
        sleep 0.02
    done
}

stop() {
    kill $server
    wait $server
}

# Waits until this many more notifications were acknowledged.
acknowledge() {
    local until=$(($(wc -l < acknowledged) + $1))
    while [ "$(wc -l < acknowledged)" -lt $until ]; do
        kill -0 $load
        sleep 0.05
    done
    echo "acknowledged until now: $(wc -l < acknowledged), not acknowledged: $(wc -l < refused)"
}

# Prints the commands of a block of the manual that contains a word.
commands() {
    awk -v word="$1" '
        $0 == "## Roll back" { part = 1 }
        $0 == "## Sizes" { part = 0 }
        /^ *```text$/ { block = ""; next }
        /^ *```$/ { if (part && index(block, word)) printf "%s", block; block = ""; next }
        { block = block $0 "\n" }' "$manual"
}

# Fails if a notification that was acknowledged is not in the journal.
compare() {
    # More arrive meanwhile.
    cp acknowledged expected
    "$1" export events --format jsonl | python3 -c '
import json, sys
stored = {json.loads(line)["task_id"] for line in sys.stdin}
acknowledged = set(open("expected").read().split())
lost = acknowledged - stored
print(f"acknowledged {len(acknowledged)}, stored {len(stored)}, lost {len(lost)}")
sys.exit(bool(lost) or not acknowledged)'
}

touch acknowledged refused
# Like the platform: each notification is sent once, whatever the answer is.
cat > load.py <<'END'
import http.client, itertools, json, threading, time
numbers = itertools.count()
acknowledged, refused = open("acknowledged", "a", 1), open("refused", "a", 1)
def work():
    connection = None
    for number in numbers:
        task = f"task-{number}"
        now = time.time()
        body = json.dumps({
            "resource": "batchtask", "event": "update", "request_id": task,
            "event_time_ms": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03}Z",
            "notify_data": {"body": {"app_id": "app", "task_id": task, "task_type": "softwareUpgrade",
                                     "status": "Processing", "status_desc": "x" * 200}}})
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", 8080, timeout=15)
            connection.request("POST", "/notifications", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            is_stored = answer.status == 200
        except OSError:
            is_stored, connection = False, None
        except http.client.HTTPException:
            is_stored, connection = False, None
        (acknowledged if is_stored else refused).write(task + "\n")
        time.sleep(0.02)
for _ in range(8):
    threading.Thread(target=work).start()
END

say "the earlier version: $("$old" --version)"
start "$old"
python3 load.py & load=$!
acknowledge 2000

say "upgrade: $("$new" --version)"
begun=$(date +%s%N)
stop
start "$new"
echo "not reachable for $((($(date +%s%N) - begun) / 1000000)) ms"
ls -l batchtask.db*
grep migrated log
acknowledge 2000

say 'back'
stop
kept=$(ls batchtask.db.v*)
commands 'cp --preserve' | sed "s/batchtask.db.v2/$kept/" > steps.sh
cat steps.sh
bash -ex steps.sh
start "$old"
acknowledge 2000
compare "$old" && { echo 'the copy was expected to lack events'; exit 1; }
commands 'send --events' > steps.sh
cat steps.sh
sed -i 's/^.*batchtask-new serve.*/&\nuntil curl --silent --fail --output \/dev\/null http:\/\/127.0.0.1:8090\/health; do sleep 0.05; done/' steps.sh
bash -ex steps.sh
compare "$old"

say 'upgrade again'
stop
start "$new"
acknowledge 500
kill $load
wait $load || true
compare "$new"
stop
say 'nothing that was acknowledged was lost'

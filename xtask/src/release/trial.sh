#!/bin/bash
# Installs and runs a release, and prints what it does and sees. Needs root, and from Debian:
# crun, curl, debootstrap, docker-registry, iproute2, lintian, minisign, openssl, python3,
# skopeo, systemd.
#
#     trial.sh RELEASE WORK
set -euo pipefail
repository=$PWD

say() { printf '\n== %s\n' "$*"; }

# Waits until a command succeeds.
await() {
    for _ in $(seq 300); do
        "$@" > /dev/null 2>&1 && return
        sleep 0.1
    done
    "$@"
}

# Prints the commands of a part of the manual: the lines after `from`, before `until`.
manual() {
    awk -v from="$1" -v until="$2" '
        $0 == from { part = 1; next }
        $0 == until { part = 0 }
        part && /^```sh$/ { block = 1; next }
        /^```$/ { block = 0 }
        part && block' "$repository/docs/installation.md"
}

package() {
    local suite=$1 base=$work/debian-$1 share
    say "the package in an empty Debian ($suite)"
    if [ ! -e "$base/ready" ]; then
        rm -rf "$base"
        debootstrap --variant=minbase --include=ca-certificates,curl,openssl,procps,systemd "$suite" "$base" > "$base.log" 2>&1
        touch "$base/ready"
    fi
    share=$(mktemp --directory)
    cp "$release"/*.deb "$share"
    {
        echo 'echo 127.0.0.1 receiver.example.com >> /etc/hosts'
        manual '## Debian package' '### What the package leaves'
        echo 'systemd-analyze verify /usr/lib/systemd/system/batchtask.service /usr/lib/systemd/system/batchtask.socket'
        echo 'stat --format="%A %U %G %n" /etc/batchtask /etc/batchtask/batchtask.toml /etc/credstore /var/lib/batchtask'
        manual '### Secrets and certificate' '### Upgrade'
        cat <<'END'
# Signed pushes are checked.
openssl rand -hex 16 > /etc/credstore/batchtask.token
sed -i 's/^# token/token/; s/^# signature.*/signature = "enforce"/' /etc/batchtask/batchtask.toml
systemctl restart batchtask.service
cd /etc/credstore
export BATCHTASK_CONFIG=/etc/batchtask/batchtask.toml
batchtask health
batchtask send --scenario life --tasks 3
[ "$(BATCHTASK_TOKEN=anotherToken batchtask send 2>&1 | grep --count 401)" -gt 0 ]
# The same package again, as an upgrade, while pushes arrive.
batchtask send --scenario life --tasks 100 --rate 60 & pushes=$!
started=$(systemctl show --property MainPID batchtask.service)
(cd /srv/share && apt-get install --yes --reinstall ./batchtask_*.deb)
wait $pushes
[ "$(systemctl show --property MainPID batchtask.service)" != "$started" ]
batchtask status
unset BATCHTASK_CONFIG
cd /srv/share
END
        manual '### What the package leaves' '## systemd' | sed '/purge/,$d'
        cat <<'END'
ls -l /etc/batchtask /etc/credstore /var/lib/batchtask
[ -e /var/lib/batchtask/batchtask.db ] && [ -e /etc/credstore/batchtask.token ]
[ ! -e /usr/bin/batchtask ] && [ ! -e /var/cache/batchtask ]
[ "$(systemctl is-active batchtask.socket)" = inactive ]
END
        manual '### What the package leaves' '## systemd' | sed -n '/purge/,$p'
        cat <<'END'
for path in /etc/batchtask /var/lib/batchtask /var/cache/batchtask /etc/credstore/batchtask.token; do
    [ ! -e $path ]
done
find / -xdev -name '*batchtask*' -not -path '/proc/*' -not -path '/srv/share/*'
getent passwd batchtask
END
    } > "$share/steps.sh"
    BATCHTASK_BOOT_ROOT=$base bash "$repository/tests/deploy/boot.sh" "$share" || {
        cat "$share/said"
        return 1
    }
    cat "$share/said"
    rm -r "$share"
}

# Posts to a receiver on port 8080: unsigned and signed. Its token is `0123456789abcdef`.
push() {
    local url=http://127.0.0.1:8080
    await "$program" health
    ! "$program" send --url $url || return 1
    BATCHTASK_TOKEN=0123456789abcdef "$program" send --url $url
}

image() {
    say 'the image, without a container engine'
    local bundle=$scratch/bundle layout=$scratch/layout
    mkdir -p "$bundle/rootfs" "$layout" "$scratch/journal"
    tar --extract --directory "$layout" --file "$release"/batchtask-*-image.oci.tar
    skopeo inspect --config "oci:$layout:$version" | head --lines 40
    (cd "$bundle" && crun spec)
    python3 - "$layout" "$bundle" "$scratch/journal" <<'END'
import json, pathlib, subprocess, sys
layout, bundle, journal = map(pathlib.Path, sys.argv[1:])
blob = lambda digest: layout / "blobs" / digest.replace(":", "/")
load = lambda path: json.loads(path.read_text())
manifest = load(blob(load(layout / "index.json")["manifests"][0]["digest"]))
image = load(blob(manifest["config"]["digest"]))["config"]
for layer in manifest["layers"]:
    subprocess.run(["tar", "-xzpf", blob(layer["digest"]), "-C", bundle / "rootfs"], check=True)
spec = load(bundle / "config.json")
user, group = map(int, image["User"].split(":"))
spec["process"].update(
    terminal=False, args=image["Entrypoint"] + image["Cmd"] + ["--listen", ":8080"],
    env=image["Env"] + ["BATCHTASK_TOKEN=0123456789abcdef", "BATCHTASK_SIGNATURE=enforce"],
    cwd=image["WorkingDir"], user={"uid": user, "gid": group}, noNewPrivileges=True, capabilities={})
spec["root"]["readonly"] = True
# The network of this script, so that it can push.
spec["linux"]["namespaces"] = [n for n in spec["linux"]["namespaces"] if n["type"] not in ("network", "cgroup")]
volume, = image["Volumes"]
spec["mounts"].append({"destination": volume, "type": "bind", "source": str(journal), "options": ["bind", "rw"]})
(bundle / "config.json").write_text(json.dumps(spec))
subprocess.run(["chown", "--reference", str(bundle / "rootfs") + volume, journal], check=True)
END
    find "$bundle/rootfs" -printf '%M %U %P\n'
    crun --cgroup-manager=disabled run --bundle "$bundle" batchtask-trial & local container=$!
    push
    crun exec batchtask-trial /batchtask health
    crun kill batchtask-trial TERM
    wait $container
    ls -l "$scratch/journal"
}

static() {
    say 'the program in a folder that contains nothing else'
    local folder=$scratch/empty
    mkdir "$folder"
    cp "$program" "$folder"
    chown 65532:65532 "$folder"
    file "$program"
    BATCHTASK_TOKEN=0123456789abcdef BATCHTASK_SIGNATURE=enforce \
        chroot --userspec=65532:65532 "$folder" /batchtask serve & local server=$!
    push
    kill $server
    wait $server
    find "$folder"
}

components() {
    say 'the components in a registry'
    local registry=127.0.0.1:5000 name file
    cat > "$scratch/registry.yml" <<END
version: 0.1
storage: {filesystem: {rootdirectory: $scratch/registry}}
http: {addr: "$registry"}
END
    docker-registry serve "$scratch/registry.yml" > "$scratch/registry.log" 2>&1 & local server=$!
    await curl --fail --silent "http://$registry/v2/"
    for file in "$release"/receiver*.oci.tar; do
        name=$(basename "$file" .oci.tar)
        skopeo copy --quiet --insecure-policy --dest-tls-verify=false "oci-archive:$file:$version" "docker://$registry/$name:$version"
        python3 - "$registry" "$name" "$version" "$release/$name.wasm" <<'END'
import json, sys, urllib.request
registry, name, version, file = sys.argv[1:]
def get(path, accept="*/*"):
    request = urllib.request.Request(f"http://{registry}/v2/{name}/{path}", headers={"Accept": accept})
    return urllib.request.urlopen(request).read()
manifest = json.loads(get(f"manifests/{version}", "application/vnd.oci.image.manifest.v1+json"))
layer, = manifest["layers"]
config = json.loads(get("blobs/" + manifest["config"]["digest"]))
assert get("blobs/" + layer["digest"]) == open(file, "rb").read()
print(name, layer["mediaType"], manifest["config"]["mediaType"], config["os"], config["component"]["exports"])
END
    done
    kill $server
}

release=$(realpath "$1")
version=$(basename "$release"/batchtask_*_amd64.deb _amd64.deb)
version=${version#batchtask_}
if [ "${3:-}" = inside ]; then
    # In a network of its own, so that every port is free.
    ip link set lo up
    # crun refuses a mix of both versions of control groups.
    [ ! -d /sys/fs/cgroup/unified ] || mount --bind /sys/fs/cgroup/unified /sys/fs/cgroup
    scratch=$(mktemp --directory)
    trap 'rm -r "$scratch"' EXIT
    tar --extract --directory "$scratch" --file "$release/batchtask-$version-x86_64-linux.tar.gz"
    program=$scratch/batchtask-$version-x86_64-linux/batchtask
    image
    static
    components
    exit
fi

work=$(realpath "$2")
say checksums
(cd "$release" && sha256sum --check SHA256SUMS)
say lintian
lintian --fail-on error "$release"/*.deb
unshare --net --mount bash "$0" "$release" "$work" inside
package bookworm
package trixie
say 'everything works'

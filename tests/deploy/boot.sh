#!/bin/bash
# Boots systemd in namespaces of its own, on a copy of this system that is gone afterwards, and
# runs the script SHARE/steps.sh there as root, in the folder SHARE.
#
#     boot.sh SHARE
#
# BATCHTASK_BOOT_ROOT names the folder of another system to copy. The exit code is that of the
# script, or 77 if systemd cannot be booted here.
share=$(realpath "$1")

if [ -z "$2" ]; then
    [ "$(id -u)" = 0 ] && [ -x /lib/systemd/systemd ] || exit 77
    for program in curl ip openssl unshare; do
        command -v $program > /dev/null || exit 77
    done
    cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    group=$cgroups/batchtask-test-$$
    { [ -n "$cgroups" ] && mkdir "$group" && mkdir -p "$share/disk"; } || exit 77
    (
        echo "$BASHPID" > "$group/cgroup.procs" || exit 77
        exec timeout --kill-after=5 120 unshare --mount --pid --fork --kill-child --cgroup --net \
            --uts --ipc --propagation private bash "$0" "$share" inside
    )
    code=$?
    find "$group" -depth -type d -exec rmdir {} \;
    exit $code
fi

# From here on, mounts and processes are those of the namespaces.
trap 'exit 77' ERR
disk=$share/disk root=$share/disk/root
mount -t tmpfs tmpfs "$disk"
mkdir "$disk"/{changes,work,root}
mount -t overlay -o "lowerdir=${BATCHTASK_BOOT_ROOT:-/},upperdir=$disk/changes,workdir=$disk/work" overlay "$root"
mount -t proc proc "$root/proc"
# Settings of the kernel are those of the whole machine.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root"/dev/{pts,shm}
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/srv/share"
mount --bind "$share" "$root/srv/share"
ip link set lo up

# Only what the service needs is started.
units=$root/etc/systemd/system
: > "$root/etc/fstab"
for unit in systemd-{sysctl,modules-load,remount-fs,random-seed,udevd,udev-trigger,tmpfiles-setup,tmpfiles-setup-dev,sysusers,update-utmp,hwdb-update,binfmt}; do
    ln -sf /dev/null "$units/$unit.service"
done
cat > "$units/steps.target" <<END
[Unit]
Wants=steps.service
END
cat > "$units/steps.service" <<END
[Service]
Type=oneshot
WorkingDirectory=/srv/share
Environment=HOME=/root
ExecStart=/bin/bash -ex steps.sh
ExecStopPost=/bin/bash -c 'systemctl exit \$EXIT_STATUS'
StandardOutput=file:/srv/share/said
StandardError=inherit
END
mkdir "$root/.old"
cd "$root"
pivot_root . .old
umount --lazy /.old
mount --make-rshared /
trap - ERR
exec env -i container=other /lib/systemd/systemd --system --unit=steps.target --log-target=journal

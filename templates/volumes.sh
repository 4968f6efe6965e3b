# Mount volumes that are attached to this machine. As root, and as often as anybody likes.
# Given: format=1 to make a file system on what is new, booting=1 to do nothing that may take long,
# patience=SECONDS, account=OWNER, and an item for each volume
# in ids, devices (what it was attached as), partitions, paths, sizes (GiB).
# Prints a line for each: path, what came of it, and why or of what type and size; with tabs between.
say() {
    printf '%s\t%s\t%s\n' "$path" "$1" "$2"
    case $1 in failed | new) bad=1 ;; esac
}
bad=0

disk_of() { # the disk of volume $1, attached as $2: by its serial (Nitro), or by its name (Xen)
    local serial=${1/-/} folder link letter name
    for folder in /sys/block/*; do
        if [ "$(tr -d '[:space:]' 2>/dev/null <"$folder/device/serial" || true)" = "$serial" ]; then
            echo "/dev/${folder##*/}"
            return
        fi
    done
    for link in /dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"$serial"; do
        if [ -b "$link" ]; then readlink -f "$link" && return; fi
    done
    letter=${2#/dev/}
    letter=${letter#xvd}
    letter=${letter#sd}
    for name in "$2" "/dev/xvd$letter" "/dev/sd$letter"; do
        if [ -b "$name" ]; then readlink -f "$name" && return; fi
    done
    return 1
}

has_come() { # whether $disk is there, and as large as EC2 says
    disk=$(disk_of "$id" "$device") && [ "$(blockdev --getsize64 "$disk")" -ge "$((size << 30))" ]
}

sys_of() { # where the kernel tells of a disk
    echo "/sys/dev/block/$((0x$(stat -Lc %t "$1"))):$((0x$(stat -Lc %T "$1")))"
}

partitions_of() { # number and device of each partition
    local file
    for file in "$(sys_of "$1")"/*/partition; do
        [ ! -e "$file" ] || echo "$(cat "$file") /dev/$(basename "$(dirname "$file")")"
    done
}

tell() { blkid -p -o value -s "$1" "$target" 2>/dev/null || true; }

is_zero() { # whether the MiB number $2 of a disk is
    local others # with the status of dd, as what cannot be read is not zero
    others=$(dd if="$1" bs=1M count=1 skip="$2" status=none | LC_ALL=C tr -d '\0' | wc -c) &&
        [ "$others" = 0 ]
}

is_new() { # whether nothing was ever written to $target; what cannot be told is not new
    local status=0 bytes
    blkid -p "$target" >/dev/null 2>&1 || status=$?
    [ "$status" = 2 ] || return 1 # 0: it found something; 8: it found more than one thing
    [ -z "$(partitions_of "$target")" ] || return 1
    [ -z "$(ls "$(sys_of "$target")/holders" 2>/dev/null)" ] || return 1
    bytes=$(blockdev --getsize64 "$target") || return 1
    is_zero "$target" 0 && is_zero "$target" "$((bytes / 1048576 - 1))"
}

is_mounted() { # whether $target is what is mounted on $path
    local source
    source=$(findmnt -n -o SOURCE --mountpoint "$path") || return 1
    [ "$(readlink -f "${source%%\[*}")" = "$target" ] ||
        [ "$(mountpoint -d "$path")" = "$(mountpoint -x "$target")" ]
}

grow() { # make the file system as large as its disk
    case $type in
    ext2 | ext3 | ext4) resize2fs "$target" ;;
    xfs) xfs_growfs "$path" ;;
    btrfs) btrfs filesystem resize max "$path" ;;
    *) true ;;
    esac
}

grow_unmounted() { # the same for one that the kernel does not let us grow while it is mounted
    local status=0
    case $booting$type in 0ext?) ;; *) return 1 ;; esac
    if ! umount "$path" 2>/dev/null; then
        said="$said; it is in use, so that it could not be unmounted for it either"
        return 1
    fi
    # In a session of its own: cut off half-way it would leave the file system broken.
    setsid --wait e2fsck -f -p "$target" >/dev/null 2>&1 || status=$?
    if [ "$status" -le 1 ]; then setsid --wait resize2fs "$target" >/dev/null 2>&1 || status=4; fi
    mount -t "$type" "$target" "$path" && [ "$status" -le 1 ]
}

grow_and_tell() { # make it as large as its disk, and say how it is mounted now; $1 where that worked
    local came=$1 bytes
    if said=$(grow 2>&1) || grow_unmounted; then said=; else came=small; fi
    if ! mountpoint -q "$path"; then
        say failed "it was unmounted to be made larger, and could not be mounted again"
        return
    fi
    bytes=$(df -B1 --output=size "$path" | tail -n 1)
    say "$came" "$type $bytes${said:+ ${said//[$'\t\n']/ }}"
}

choose_target() { # the disk, or its one partition, or the one that was named
    local found number name several=0
    target=$disk
    found=$(partitions_of "$disk")
    if [ "${partition:-0}" -gt 0 ]; then
        target=
        while read -r number name; do
            [ "$number" != "$partition" ] || target=$name
        done <<<"$found"
        if [ -z "$target" ]; then
            say failed "it has no partition $partition"
            return 1
        fi
    elif [ -n "$found" ]; then
        while read -r number name; do
            several=$((several + 1))
            target=$name
        done <<<"$found"
        if [ "$several" -gt 1 ]; then
            say failed "it has $several partitions; name one with PARTITION in its section"
            return 1
        fi
    fi
}

mount_one() {
    local said fresh=mounted type disk='' target found options=()
    until has_come; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            if [ -n "$disk" ]; then break; fi # smaller than it should be; still worth mounting
            say failed "its device has not come up on this machine in $patience s"
            return
        fi
        sleep 0.2
    done
    choose_target || return 0
    if is_mounted; then
        type=$(findmnt -n -o FSTYPE --mountpoint "$path")
        grow_and_tell there
        return
    fi
    if mountpoint -q "$path"; then
        say failed "something else is mounted there"
        return
    fi
    if [ -d "$path" ] && [ -n "$(ls -A "$path")" ] || { [ -e "$path" ] && [ ! -d "$path" ]; }; then
        say failed "there are files in that place, which it would hide"
        return
    fi
    if is_new; then
        if [ "$format" != 1 ]; then
            say new "it has no file system yet"
            return
        fi
        # Its root is the user's from the start, so that no step is left to be done after a crash.
        if ! said=$(mkfs.ext4 -q -F -m 0 -E "root_owner=$(id -u "$account"):$(id -g "$account")" \
            "$target" 2>&1 </dev/null); then
            say failed "mkfs.ext4: ${said//[$'\t\n']/ }"
            return
        fi
        fresh=formatted
    elif [ "$(tell USAGE)" != filesystem ]; then
        found=$(tell TYPE)
        [ -n "$found" ] || found=$(tell PTTYPE)
        [ -n "$found" ] || found=data
        say failed "what is on it is no file system but $found; it is left as it is"
        return
    fi
    type=$(tell TYPE)
    # A volume made of a snapshot has the UUID of the one it was taken of, which may be mounted too.
    if [ "$type" = xfs ]; then options=(-o nouuid); fi
    mkdir -p "$path"
    if ! said=$(mount -t "$type" "${options[@]}" "$target" "$path" 2>&1); then
        say failed "${said//[$'\t\n']/ }"
        return
    fi
    grow_and_tell "$fresh"
}

deadline=$((SECONDS + patience))
for number in "${!ids[@]}"; do
    id=${ids[number]} device=${devices[number]} partition=${partitions[number]}
    path=${paths[number]} size=${sizes[number]}
    mount_one
done

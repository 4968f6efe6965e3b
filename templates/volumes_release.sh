# Let go of volumes before the machine ends. As root. Given: paths.
# Prints the paths that nothing is mounted on any more; what is in use goes with the shutdown.
systemctl disable --quiet spotcluster-volumes.service 2>/dev/null || true
for path in "${paths[@]}"; do
    if mountpoint -q "$path"; then
        sync -f "$path"
        umount "$path" 2>/dev/null || continue
    fi
    printf '%s\n' "$path"
done

#cloud-boothook
#!/bin/sh
# For a copy of a node that is about to become an image: it must not act as that node does, and ends
# itself after an hour whatever happens to who has started it. Before any unit of ours is started.
rm -rf /var/lib/spotcluster /etc/systemd/system/spotcluster-* \
    /etc/systemd/system/*.wants/spotcluster-*
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload --no-block || true
    systemd-run --no-block --unit=spotcluster-image --property=DefaultDependencies=no \
        sh -c 'sleep 3600; systemctl poweroff --ignore-inhibitors || poweroff -f'
fi

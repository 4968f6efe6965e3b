# Let go of what is shared. As root. Given: service=NAME, ends=1 where it is not to come back at a boot
unit=spotcluster-$service.service
[ -e "/etc/systemd/system/$unit" ] || exit 0
systemctl stop "$unit"
bash "/etc/spotcluster/$service.sh" release # the unit may have been stopped before
if [ "$ends" = 1 ]; then
    systemctl disable --quiet "$unit"
    rm -f "/etc/systemd/system/$unit" "/etc/spotcluster/$service.sh"
    systemctl daemon-reload
fi

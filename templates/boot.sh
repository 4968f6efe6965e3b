# Tell one boot of a machine from the next. Given: step=mark or look, units=1 or 0, mark=MARK
# mark prints what look is to be given, which then says "same" until the machine has rebooted.
boot() { cat /proc/sys/kernel/random/boot_id 2>/dev/null || true; }
case $step in
mark)
    if [ "$units" = 1 ]; then boot; else
        # What is no system of its own has its computer's boot; but its processes end with it.
        nohup sleep 7201 >/dev/null 2>&1 </dev/null &
        echo "$!"
    fi
    ;;
look)
    if [ "$units" = 1 ]; then now=$(boot); else
        now=
        if [ "$(ps -ww -o args= -p "$mark" 2>/dev/null)" = 'sleep 7201' ]; then now=$mark; fi
    fi
    if [ "$now" = "$mark" ]; then echo same; fi
    ;;
esac

"""The life of a cluster, one file per command: what it does, in which order.

::

    request.py      what `start` is asked for: a template of the config, or a cluster that is there
    start.py        makes a cluster, or goes on where a start was cut off
    add.py          more nodes            remove.py     fewer, losing nothing
    keeping     a size that keeps itself: what is lost is replaced
    stop.py         disks are kept        restart.py    reboots all nodes
    autostop.py     when it ends by itself, said anew
    abort.py        a search, from any terminal
    runplugin.py    one plugin on a cluster that is there
    shutdown.py     the plugins' last word before a stop or an end
    terminate.py    ends everything, and looks whether anything is left
"""

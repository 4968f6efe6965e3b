"""The command line: parses, calls, prints. No logic, nothing heavy imported before its use.

::

    commands/         the commands
    main.py           the program: global options, how every error ends
    context.py        what the global options say         options.py      what several commands have
    groups.py         groups of commands                  starcluster.py  StarCluster's words
    output.py         what is printed, and where          bars.py         how far a copy is
    results.py        what came of `start` and its like   pictures.py     what tables cannot show
    interrupts.py     what is said after Ctrl-C           editing.py      a file edited aside
    logfile.py        the log of a run
"""

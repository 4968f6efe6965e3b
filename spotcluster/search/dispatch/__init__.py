"""Who does which evaluation, so that engines are busy and nothing is lost.

::

    dispatcher.py     the thread that does it, step by step, with these:
    feeder.py         what is sent when            verdicts.py    what comes of it
    backlog.py        what is still to do          durations.py   what it may take
    roster.py         which engines there are      detector.py    which messages are lost
    likeness.py       what those like it took      forecast.py    when messages will end
    pace.py           how long they are            delivery.py    the files of a search, to a host
    sender.py         evaluations as messages.py   spread.py      who brings which file to whom
    hosts.py          what is known of them        hope.py        whether any is left
    suspicions.py     which failures are a host's own
"""

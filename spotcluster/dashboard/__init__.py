"""A page that shows a cluster while it works, and steers it; Bokeh is the extra `dashboard`.

Data flows one way: a look is made into a snapshot, and pages show that.

::

    look.py       asks what `status` asks, in a thread for all pages
    ledgers.py    the results of searches             scores.py   as the numbers that are plotted
    work.py       what engines have done over time    changes.py  what has happened
    snapshot.py   a cluster at one moment, as plain data
    tables.py     the part of a table that a page shows
    views/        what each part of the page says
    figures.py    what is plotted
    page.py       one open page
    actions.py    what is done from it: our own commands
    server.py     who may see it, and where it is served
    static/       the page itself
"""

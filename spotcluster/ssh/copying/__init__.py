"""Copies trees of files over one stream of bytes; the same program at both ends.

A node has whatever Python its image came with, so these modules use the standard library only and
what Python 3.7 knows, and are sent to the node with every copy. Names of files are bytes to the
system; on the wire and in reports they are UTF-8, with ``surrogateescape`` for what is not.

::

    wire.py         frames, names, and the one kind of error
    sender.py       finds what there is to copy and gives it
    receiver.py     says what is missing, takes it, and writes nowhere but where it may
    manifest.py     the list of what the other end has
    destination.py  where things go, as `cp -r` would take it
    folders.py      folders by descriptor, entered without following a link
    parts.py        files that are written aside, and get their names when they are whole
    digests.py      digests of files, and S3's ETags
    stores.py       files that go between a node and addresses of a store, such as S3's
    relay.py        what one machine has been sent, sent on by it to others
    node.py         the node's end: reads a request, and is a sender, a receiver or a relay

One copy is two turns of the stream, however many files it has: the list of what there is goes to
the receiver, what it lacks comes back, and the content follows.
"""

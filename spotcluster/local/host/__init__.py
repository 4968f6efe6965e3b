"""A local host: what an instance of the local cloud runs on.

One process, an SSH server on a loopback address, with a folder for its files. It is started with
``python -m spotcluster.local.host FOLDER``, or forked of a process that has imported what it needs;
everything below it in the process tree belongs to it.

::

    forker.py        making hosts by forking
    layout.py        where things are in a host's folder
    disk.py          what its disk holds, kept and put on others
    userdata.py      what the instance's user data says to us, as cloud-init would read it
    metadata.py      what it reads of itself, where a machine of EC2's asks its metadata service
    image.py         the programs that a host has: its ``bin`` folder and its first files
    environment.py   the environment of a session
    names.py         the host's name, for Python on it
    children.py      starting, signalling and reaping the host's processes
    sessions.py      one SSH session: a shell or a command, with or without a terminal
    server.py        the SSH server: who may log in, and what they get
"""

"""StarCluster's plugins, run as they are: what they import, and what they are given.

::

    adapter.py   the plugin of ours that calls a setup class's hooks
    loading.py   importing a plugin's modules, with StarCluster's names in them
    modules.py   the modules `starcluster.*` that plugins import
    nodes.py     a node, as they see it
    pool.py      `self.pool`: what they do on many nodes at once
    python2.py   Python 2 to Python 3
    remote.py    `node.ssh`: commands and files on a node
    setups.py    the base classes of setup classes
    telling.py   `log`: what they say, to who runs the command
"""

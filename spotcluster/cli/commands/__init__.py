"""The commands, one file per group of them; each says in its first line which.

A command parses, calls and prints; what it needs of other rooms is imported when it is called.
nodes/ has those that reach a node itself.
"""

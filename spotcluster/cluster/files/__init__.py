"""Files to nodes and from them.

::

    transfers.py    this computer's, over SSH
    buckets.py      S3's: the laptop lists and signs, the bytes go directly
"""

"""S3: files and objects in buckets.

::

    store.py     the user's files, listed and addressed      objects.py   split files of searches
    s3.py        calls about one bucket
"""

"""Model search on EC2 spot clusters: on-demand master, spot workers, ipyparallel engines."""

__version__ = "0.1.0"

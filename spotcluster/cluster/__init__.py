"""Clusters and their nodes: launched, set up, resized, ended."""

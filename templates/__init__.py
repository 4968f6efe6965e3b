"""INI templates, and the few files that are sent to nodes."""

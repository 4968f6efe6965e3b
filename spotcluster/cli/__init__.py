"""The command line: parses, calls, prints. No logic, nothing heavy imported before its use."""

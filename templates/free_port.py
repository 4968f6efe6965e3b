"""Print a port of an address that is free: the first of those given that is, or any other.

Arguments: the address, and ports. A service that is started again is found where it was.
"""

import socket
import sys

for wanted in (*sys.argv[2:], "0"):
    try:
        with socket.create_server((sys.argv[1], int(wanted))) as server:
            sys.stdout.write(f"{server.getsockname()[1]}\n")
            break
    except (OSError, ValueError, OverflowError):
        continue

"""The process in the lab's namespace, with machines that have a kernel of their own."""

from __future__ import annotations

from machines.bed import inside

from .virtual import VirtualMachines, VirtualNetwork

if __name__ == "__main__":
    inside.main(VirtualNetwork, VirtualMachines)

"""What EC2 takes of the root disks of nodes, by the type of the volume.

The limits are those of EC2's reference of BlockDeviceMapping, the ratios those of EBS's guide.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """A type of volume that a machine can boot from.

    Attributes
    ----------
    gb : tuple of int
        The smallest and the largest size in GiB.
    iops : tuple of int or None
        Likewise; None where they follow from the size.
    iops_per_gb : int
        The most of them that a GiB may have.
    throughput : tuple of int or None
        Likewise, in MiB per second; None where nobody can choose it.
    """

    gb: tuple[int, int]
    iops: tuple[int, int] | None = None
    iops_per_gb: int = 0
    throughput: tuple[int, int] | None = None


KINDS = {
    "gp3": Kind((1, 65_536), (3_000, 80_000), 500, (125, 2_000)),
    "gp2": Kind((1, 16_384)),
    "io1": Kind((4, 16_384), (100, 64_000), 50),
    "io2": Kind((4, 65_536), (100, 256_000), 1_000),
}
USUAL = "gp3"
_IOPS_PER_MIB = 4  # that gp3 must have for each MiB per second


def wrong_type(kind: str) -> str:
    """Return what is wrong with a type, in words that follow it; "" where nothing is."""
    if kind in KINDS:
        return ""
    if kind in ("st1", "sc1"):
        return f"is a type that no machine boots from; choose {', '.join(KINDS)}"
    return f"is none of {', '.join(KINDS)}"


def wrong_size(kind: str, gb: int | None) -> str:
    """Return what is wrong with a size in GiB."""
    least, most = KINDS[kind].gb
    if gb is None or least <= gb <= most:
        return ""
    return f"is not the size of a volume of {kind}, which has {least} to {most} GiB"


def wrong_iops(kind: str, gb: int | None, iops: int | None) -> str:
    """Return what is wrong with the number of operations per second.

    Parameters
    ----------
    gb : int or None
        Its size, where that is known: an image has one of its own.
    """
    own = KINDS[kind]
    if own.iops is None:
        return "" if iops is None else f"cannot be chosen: those of {kind} follow from its size"
    least, most = own.iops
    if iops is None:
        needed = f"'{kind}' (ROOT_VOLUME_TYPE) needs a number of IOPS, {least} to {most}"
        return "" if kind == USUAL else needed
    if not least <= iops <= most:
        return f"is not what {kind} has, {least} to {most}"
    if gb is not None and iops > max(least, gb * own.iops_per_gb):
        return (
            f"is more than {gb} GiB of {kind} may have, {max(least, gb * own.iops_per_gb)};"
            f" {-(-iops // own.iops_per_gb)} GiB are enough for it"
        )
    return ""


def wrong_throughput(kind: str, iops: int | None, throughput: int | None) -> str:
    """Return what is wrong with the MiB per second."""
    own = KINDS[kind]
    if throughput is None:
        return ""
    if own.throughput is None:
        return f"cannot be chosen for a volume of {kind}, but for one of {USUAL}"
    least, most = own.throughput
    if not least <= throughput <= most:
        return f"is not what {kind} has, {least} to {most} MiB/s"
    has = iops or (own.iops or (0, 0))[0]
    if throughput * _IOPS_PER_MIB > has:
        return (
            f"is more than {has} IOPS of {kind} give, {has // _IOPS_PER_MIB} MiB/s;"
            f" ROOT_VOLUME_IOPS = {throughput * _IOPS_PER_MIB} is enough for it"
        )
    return ""

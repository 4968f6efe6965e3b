"""What a machine says of itself."""

from __future__ import annotations

from spotcluster.cluster.node import Facts

SAID = """\
cores=2
memory_mb=4000
sudo=1
account=ipuser
account_home=/home/ipuser
account_key=ssh-ed25519 AAAA ipuser@cluster
systemd=1
package_manager=apt-get
python=3.11.2
tmux=1
home=/home/ubuntu
cluster_key=
"""


def test_facts_are_read() -> None:
    facts = Facts.parse(SAID)
    assert (facts.cores, facts.memory_mb, facts.has_units) == (2, 4000, True)
    assert facts.account_key == "ssh-ed25519 AAAA ipuser@cluster"


def test_line_that_comes_again_is_not_believed() -> None:
    """What a file holds that others write may come after what the script itself says."""
    lying = SAID.replace("ipuser@cluster\n", "ipuser@cluster\naccount=root\naccount_home=/root\n")
    assert lying != SAID
    assert Facts.parse(lying) == Facts.parse(SAID)

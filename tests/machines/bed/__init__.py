"""The test bed: machines that boot, behind the API of the local cloud.

::

    lab.py        what tests use: a lab, and what is in it
    machine.py    a machine of a lab, and what can be done to it
    needs.py      what machines need of the computer that they are to boot on
    inside.py     the process in the lab's namespace: the local cloud's own API and reconciler,
                  with machines in the place of its hosts
    machines.py   the machines as the reconciler sees them: boot, find, end, remove, follow
    boot.sh       what runs around one machine, from power on to power off
    network.py    bridge, links, security groups, what goes wrong between machines
    relay.py      delay, in user space
    disks.py      volumes: loop devices that vanish with their lab
    cgroups.py    groups of processes: freezing, killing and limiting whole machines
    imds.py       the metadata service
    index.py      the package index, over wheels.py
    image.py      the image, by recipe (seal.sh); stages.py runs cloud-init on it
    contained.py  namespaces that end with who made them
    cache.py      where what takes long to make is kept

A test asks for the fixture `lab`, one per module, with nothing in it at first::

    def test_worker_that_loses_its_power_is_dropped(lab: Lab) -> None:
        lab.configure()                                 # a config, a key; then as a user does:
        lab.run("start", "-s", "3", "-b", "0.5", "mycluster")
        worker = lab.machine("node001")                 # or lab.machines
        worker.power_loss()                             # freeze, delay, full_disk, ...
        worker.wait("terminated")
        assert "node001" not in lab.run("listclusters", "mycluster")

`lab.ec2` is a boto3 client of the lab's API. `machine.ssh(...)` is a plain ssh from the lab's
laptop, `machine.inside(...)` a root shell that needs neither sshd nor network, `lab.python(...)` a
program on the laptop (`spotcluster.connect(...)` works there, not in the test's own process, which
is outside of the lab's network). `lab.launch()` starts a machine without the product.
"""

"""The templates that we ship."""

from __future__ import annotations

import re

import pytest

from spotcluster import config, templates


def test_template_to_begin_with_starts_on_the_local_cloud_as_it_stands() -> None:
    template = config.load_text(templates.read("config.ini"), "config.ini").template()
    assert (template.name, template.region, template.keyname) == ("iptemplate", "local", "mykey")
    assert [one.name for one in template.plugins] == ["pypackages", "ipcluster"]


def test_every_line_that_is_commented_out_is_right_too() -> None:
    text = templates.read("config.ini").replace("REGION = local", "")
    # The user's own plugin is the one thing that is not there.
    text = re.sub(r"#\[plugin mine\]\n#SETUP_CLASS.*\n", "", text)
    whole, number = re.subn(r"(?m)^#(?=\[|[A-Z_]+ = )", "", text)
    assert number > 20
    loaded = config.load_text(whole, "config.ini")
    assert loaded.template("large").cluster_size == 9
    assert loaded.template("iptemplate").spot_bid == 0.5
    assert [one.cidr_ip for one in loaded.template().permissions] == ["192.0.2.0/24"]


def test_demo_starts_a_master_and_two_spot_workers() -> None:
    template = config.load_text(templates.read("demo.ini"), "demo.ini").template("demo")
    assert (template.region, template.cluster_size, template.spot_bid) == ("local", 3, 0.08)
    assert not template.force_spot_master
    assert template.plugins[0].settings == {"packages": "scikit-learn, psutil"}


def test_unknown_template_file() -> None:
    with pytest.raises(FileNotFoundError):
        templates.read("no.ini")

"""From a file to a config, or to every problem in it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotcluster import config, files
from spotcluster.errors import ConfigError, UsageError

DATA = Path(__file__).parent / "data"

# A template that is right; a test adds one thing that is wrong.
RIGHT = """\
[key mykey]
[plugin packages]
SETUP_CLASS = spotcluster.plugins.pypackages.PyPkgInstaller
[cluster c]
KEYNAME = mykey
NODE_INSTANCE_TYPE = c5.large
"""
LAST = RIGHT.count("\n")


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load_text(text, "f")
    return list(caught.value.problems)


def test_lecture_sample_loads_as_it_stands() -> None:
    template = config.load(DATA / "lecture.ini").template("iptemplate")
    assert template.keyname == "mykey"
    assert template.region == "us-east-1"
    assert template.node_image_id == "ami-5b3fb632"
    assert template.node_instance_type == "c1.xlarge"
    assert template.disable_queue is True
    assert [(one.name, one.setup_class) for one in template.plugins] == [
        ("pypackages", "spotcluster.plugins.pypackages.PyPkgInstaller"),
        ("ipcluster", "spotcluster.plugins.ipcluster.IPCluster"),
    ]
    assert template.plugins[0].settings == {"packages": "scikit-learn, psutil"}


def test_lecture_sample_has_the_plugins_that_no_template_names() -> None:
    loaded = config.load(DATA / "lecture.ini")
    assert set(loaded.plugins) == {"ipcluster", "ipclusterstop", "ipclusterrestart", "pypackages"}
    assert loaded.plugins["ipclusterstop"].setup_class.endswith("ipcluster.IPClusterStop")


def test_keys_of_starcluster_without_meaning_here_are_passed_over() -> None:
    loaded = config.load_text(
        "[global]\nENABLE_EXPERIMENTAL = True\nREFRESH_INTERVAL = 5\nWEB_BROWSER = x\n"
        "[aws info]\nAWS_USER_ID = 1\nEC2_CERT = /no/such\nEC2_PRIVATE_KEY = x\nAWS_PORT = y\n"
        f"AWS_REGION_HOST = z\n{RIGHT}DISABLE_QUEUE = True\nDISABLE_CLOUDINIT = False\n",
        "f",
    )
    assert loaded.global_settings.refresh_interval == 5
    assert loaded.template().disable_queue is True


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("CLUSTER_SIZE = 0", "CLUSTER_SIZE: '0' must be at least 1."),
        ("CLUSTER_SIZE = -3", "CLUSTER_SIZE: '-3' must be at least 1."),
        ("CLUSTER_SIZE = two", "CLUSTER_SIZE: 'two' is not a whole number."),
        ("CLUSTER_SIZE = 2.5", "CLUSTER_SIZE: '2.5' is not a whole number."),
        ("SPOT_BID = 0", "SPOT_BID: '0' must be greater than 0."),
        ("SPOT_BID = $0.5", "SPOT_BID: '$0.5' is not a number."),
        ("SPOT_BID = 0,5", "SPOT_BID: '0,5' is not a number: write 0.5."),
        ("SPOT_BID = nan", "SPOT_BID: 'nan' is not a finite number."),
        ("SPOT_BID = inf", "SPOT_BID: 'inf' is not a finite number."),
        ("FORCE_SPOT_MASTER = 2", "FORCE_SPOT_MASTER: '2' is neither True nor False."),
        ("CLUSTER_USER = root", "CLUSTER_USER: 'root' must not be the user of a cluster"),
        ("CLUSTER_USER = Ann", "CLUSTER_USER: 'Ann' is not a valid Unix user"),
        ("CLUSTER_USER = a;b", "CLUSTER_USER: 'a;b' is not a valid Unix user"),
        ("CLUSTER_SHELL = fish", "CLUSTER_SHELL: 'fish' is not one of 'bash', 'zsh'"),
        ("IMAGE_USER = -x", "IMAGE_USER: '-x' is not a valid Unix user"),
        ("NODE_IMAGE_ID = ubuntu", "NODE_IMAGE_ID: 'ubuntu' is not the id of an image"),
        ("MASTER_IMAGE_ID = ami-xyz", "MASTER_IMAGE_ID: 'ami-xyz' is not the id of an image"),
        ("MASTER_INSTANCE_TYPE = c5large", "MASTER_INSTANCE_TYPE: 'c5large' is not an instance"),
        ("MASTER_INSTANCE_TYPE = a.b, c.d", "is more than one instance type"),
        ("REGION = us-east1", "REGION: 'us-east1' is not a region, as in us-east-1"),
        ("AVAILABILITY_ZONE = US", "AVAILABILITY_ZONE: 'US' is not an availability zone"),
        ("SUBNET_ID = x", "SUBNET_ID: 'x' is not the id of a subnet"),
        ("PUBLIC_IPS = some", "PUBLIC_IPS: 'some' is neither True nor False."),
        ("ALLOW = 10.0.0.0/8, nowhere", "ALLOW: 'nowhere' is not a CIDR block"),
        ("ON_DEMAND_FALLBACK = some", "FALLBACK: 'some' is neither a number of workers nor 'all'."),
        ("ON_DEMAND_FALLBACK = -1", "FALLBACK: '-1' is neither a number of workers nor 'all'."),
        ("NODE_CPUS = 8-4", "NODE_CPUS: '8-4' is a range that nothing is in"),
        ("LAUNCH_TIMEOUT = 0", "LAUNCH_TIMEOUT: '0' must be at least 1."),
        ("ROOT_VOLUME_SIZE = 99999", "ROOT_VOLUME_SIZE: '99999' must be at most 65536."),
        ("USERDATA_SCRIPTS = /no/such", "USERDATA_SCRIPTS: '/no/such' does not exist."),
        ("SIZE = 3", "SIZE: there is no such key. Did you mean 'CLUSTER_SIZE'?"),
        ("NODE_TYPE = a.b", "there is no such key. Did you mean 'NODE_INSTANCE_TYPE'?"),
        ("NAME = x", "NAME: there is no such key."),
        ("KEY_LOCATION = /x", "KEY_LOCATION: there is no such key."),
        ("EXTENDS = d", "EXTENDS: there is no [cluster d]."),
        ("EXTENDS = c", "EXTENDS: the templates extend one another in a circle: c -> c."),
        ("PLUGINS = package", "there is no [plugin package]. Did you mean 'packages'?"),
        ("PLUGINS = packages, packages", "PLUGINS: 'packages' is named twice."),
        ("VOLUMES = data", "VOLUMES: there is no [volume data]."),
        ("PERMISSIONS = web", "PERMISSIONS: there is no [permission web]."),
    ],
)
def test_wrong_line_in_a_template(line: str, said: str) -> None:
    (found,) = problems(f"{RIGHT}{line}\n")
    assert found.startswith(f"f:{LAST + 1}: [cluster c] ")
    assert said in found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[clustr d]\n", "f:1: [clustr d]: there is no such section. Did you mean 'cluster'?"),
        ("[aws]\n", "f:1: [aws]: there is no such section. Did you mean 'aws info'?"),
        ("[zzz]\n", "f:1: [zzz]: there is no such section. There are [global], [aws info], [key"),
        ("[DEFAULT]\na = 1\n", "f:1: [default]: there is no such section."),
        ("[]\n", "f:1:"),
        ("[cluster]\n", "f:1: [cluster]: the section needs a name: [cluster NAME]."),
        ("[global]\nDEFAULT = c\n", "f:2: [global] DEFAULT: there is no such key. Did you mean"),
        ("[global]\nDEFAULT_TEMPLATE = d\n", "DEFAULT_TEMPLATE: there is no [cluster d]."),
        (
            "[global]\nINCLUD = /x\n",
            "f:2: [global] INCLUD: there is no such key. Did you mean",
        ),
        ("[global]\nREFRESH_INTERVAL = x\n", "REFRESH_INTERVAL: 'x' is not a number."),
        ("[aws info]\nREGION = local\n", "REGION: there is no such key. Did you mean 'AWS_REGION"),
        ("[aws info]\nAWS_REGION_NAME = usa\n", "AWS_REGION_NAME: 'usa' is not a region"),
        ("[aws info]\nAWS_ACCESS_KEY_ID = a\n", "[aws info] AWS_SECRET_ACCESS_KEY: 'AWS_ACCESS"),
        ("[aws info]\nAWS_SECRET_ACCESS_KEY = a\n", "f:2: [aws info] AWS_SECRET_ACCESS_KEY: 'AW"),
        ("[key a/b]\n", "f:1: [key a/b]: 'a/b' is not the name of a key"),
        ("[key k]\nKEY_LOCATION = x.pem\n", "f:2: [key k] KEY_LOCATION: 'x.pem' is a relative"),
        ("[key k]\nKEY_LOCATION = $NO_SUCH/x\n", "uses the variable $NO_SUCH, which is not set"),
        ("[key k]\nKEY_LOCATION = ~nobody-here/x\n", "the home of a user who does not exist"),
        ("[key k]\nLOCATION = /x\n", "LOCATION: there is no such key. Did you mean 'KEY_LOCATION'"),
        ("[plugin p]\n", "f:1: [plugin p] SETUP_CLASS: is missing; it names the plugin's class"),
        ("[plugin a b]\nSETUP_CLASS = x.Y\n", "f:1: [plugin a b]: 'a b' is not a name"),
        ("[volume v]\nMOUNT_PATH = /data\n", "f:1: [volume v] VOLUME_ID: is missing."),
    ],
)
def test_wrong_section(text: str, said: str) -> None:
    (found,) = problems(text)
    assert said in found


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("FROM_PORT = 80\nTO_PORT = 22\n", "TO_PORT: '22' does not end a range of ports"),
        ("FROM_PORT = 80\nTO_PORT = 99999\n", "TO_PORT: '99999' must be at most 65535."),
        ("FROM_PORT = http\nTO_PORT = 80\n", "FROM_PORT: 'http' is not a whole number."),
        ("FROM_PORT = -1\nTO_PORT = -1\n", "TO_PORT: '-1' does not end a range of ports"),
        ("FROM_PORT = 1\nTO_PORT = 1\nIP_PROTOCOL = icmp\n", "both must be -1"),
        ("FROM_PORT = 1\nTO_PORT = 1\nIP_PROTOCOL = tcpip\n", "is not one of 'tcp', 'udp' or"),
        ("FROM_PORT = 1\nTO_PORT = 1\nPROTOCOL = tcpip\n", "PROTOCOL: 'tcpip' is not one of"),
        ("FROM_PORT = 1\n", "TO_PORT: is missing."),
    ],
)
def test_wrong_permission(lines: str, said: str) -> None:
    (found,) = problems(f"[permission p]\nCIDR_IP = 10.0.0.0/8\n{lines}")
    assert said in found


def test_permission_is_never_open_to_everybody_by_omission() -> None:
    (found,) = problems("[permission p]\nFROM_PORT = 80\nTO_PORT = 80\n")
    assert found == (
        "f:1: [permission p] CIDR_IP: is missing; 0.0.0.0/0 would open the ports to everybody."
    )


def test_protocol_is_understood_as_old_files_have_it() -> None:
    text = "[permission p]\nFROM_PORT = 53\nTO_PORT = 53\nPROTOCOL = udp\nCIDR_IP = 10.1.2.3/8\n"
    permission = config.load_text(text, "f").permissions["p"]
    assert (permission.ip_protocol, permission.cidr_ip) == ("udp", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("VOLUME_ID = vol-x\nMOUNT_PATH = /d", "VOLUME_ID: 'vol-x' is not the id of a volume"),
        ("VOLUME_ID = a b\nMOUNT_PATH = /d", "VOLUME_ID: 'a b' is not the id of a volume"),
        ("VOLUME_ID = v\nMOUNT_PATH = /etc/x", "'/etc/x' is a folder of the system"),
        ("VOLUME_ID = v\nMOUNT_PATH = //usr", "'//usr' is a folder of the system"),
        ("VOLUME_ID = v\nMOUNT_PATH = /home/", "'/home/' is a folder of the system"),
        ("VOLUME_ID = vol-12345678\nMOUNT_PATH = d", "MOUNT_PATH: 'd' is not an absolute path"),
        ("VOLUME_ID = vol-12345678\nMOUNT_PATH = //", "must not be the root of the file system"),
        ("VOLUME_ID = vol-12345678\nMOUNT_PATH = /a/../etc", "is not an absolute path without '.."),
        ("VOLUME_ID = vol-12345678\nMOUNT_PATH = /d\nDEVICE = sdf", "'sdf' is not a device"),
        ("VOLUME_ID = vol-12345678\nMOUNT_PATH = /d\nPARTITION = -1", "must be at least 0"),
    ],
)
def test_wrong_volume(lines: str, said: str) -> None:
    (found,) = problems(f"[volume v]\n{lines}\n")
    assert said in found


def test_everything_that_is_wrong_with_volumes_is_said_at_once() -> None:
    volumes = "".join(
        f"[volume {name}]\nVOLUME_ID = data\nMOUNT_PATH = {path}\nDEVICE = /dev/sdf\n"
        for name, path in (("a", "/x"), ("b", "/x/"), ("c", "/home/ipuser"))
    )
    (found,) = problems(f"{volumes}{RIGHT}VOLUMES = a, b\n")
    assert "'a' and 'b' both mount on /x; 'a' and 'b' both are data" in found
    (found,) = problems(f"{volumes}{RIGHT}VOLUMES = c\n")
    assert "'c' (VOLUMES) would be mounted on /home/ipuser" in found


def test_two_volumes_do_not_mount_on_one_path() -> None:
    volumes = "".join(
        f"[volume {name}]\nVOLUME_ID = vol-{name * 8}\nMOUNT_PATH = /data/\n" for name in "ab"
    )
    (found,) = problems(f"{volumes}{RIGHT}VOLUMES = a, b\n")
    assert "VOLUMES: 'a' and 'b' both mount on /data." in found


def test_every_problem_is_reported_at_once_in_the_order_of_the_file() -> None:
    found = problems(
        "[global]\nDEFAULT_TEMPLAT = c\n"
        "[aws info]\nAWS_REGION_NAME = nowhere\n"
        "[plugin p]\nSETUP_CLASS = starcluster.plugins.sge.SGEPlugin\n"
        "[cluster c]\nKEYNAME = mine\nCLUSTER_SIZE = 0\nSPOT_BID = -1\nPLUGINS = p, q\n"
        "[cluster d]\n[cluster d]\n"
    )
    assert [int(one.split(":")[1]) for one in found] == [2, 4, 6, 7, 8, 9, 10, 11, 12, 12, 13]


def test_wrong_inherited_value_is_reported_once_where_it_stands() -> None:
    (found,) = problems(f"{RIGHT}SPOT_BID = much\n[cluster d]\nEXTENDS = c\n[cluster e]\nEXTENDS=d")
    assert found == f"f:{LAST + 1}: [cluster c] SPOT_BID: 'much' is not a number."


def test_template_lacks_what_nothing_can_make_up() -> None:
    assert problems("[cluster c]\n") == [
        "f:1: [cluster c] KEYNAME: is missing; it names a [key NAME].",
        "f:1: [cluster c] NODE_INSTANCE_TYPE: is missing, as in c5.xlarge.",
    ]


def test_empty_value_is_as_good_as_none() -> None:
    template = config.load_text(f"{RIGHT}SPOT_BID =\nPLUGINS =\nREGION =\n", "f").template()
    assert template.spot_bid is None
    assert template.plugins == ()
    assert template.region is None


def test_region_of_the_template_wins_over_that_of_aws_info() -> None:
    text = f"[aws info]\nAWS_REGION_NAME = eu-west-1\n{RIGHT}[cluster d]\nEXTENDS=c\nREGION = local"
    loaded = config.load_text(text, "f")
    assert loaded.aws.region == "eu-west-1"
    assert loaded.template("c").region == "eu-west-1"
    assert loaded.template("d").region == "local"


def test_zone_must_be_in_the_region() -> None:
    (found,) = problems(f"{RIGHT}REGION = us-east-1\nAVAILABILITY_ZONE = eu-west-1a\n")
    assert "AVAILABILITY_ZONE: 'eu-west-1a' is not in the region us-east-1." in found


def test_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"nothing does not exist.*`spotcluster config init`"
    ) as caught:
        config.load(tmp_path / "nothing")
    assert not isinstance(caught.value, ConfigError)


def test_default_file_is_in_the_home(spotcluster_home: Path) -> None:
    (spotcluster_home / "config").write_text(RIGHT)
    assert config.load().path == spotcluster_home / "config"
    assert config.load().template().name == "c"


def test_environment_names_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").write_text(RIGHT)
    monkeypatch.setenv("SPOTCLUSTER_CONFIG", str(tmp_path / "other"))
    assert config.load().path == tmp_path / "other"


def test_without_a_default_file_the_config_is_empty(tmp_path: Path) -> None:
    assert config.load_if_there() == config.empty()
    with pytest.raises(UsageError, match="does not exist"):
        config.load_if_there(tmp_path / "named")


def test_folder_is_not_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        config.load(tmp_path)


def test_file_that_is_not_text_is_a_problem_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"[global]\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"c:2: this line is not UTF-8 text"):
        config.load(tmp_path / "c")


def test_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbf" + RIGHT.encode())
    assert config.load(tmp_path / "c").template().name == "c"


def test_key_without_location_is_where_createkey_writes_it() -> None:
    assert config.load_text("[key k]\n", "f").keys["k"].key_location == files.key_file("k")


def test_key_without_location_may_be_where_the_lecture_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    theirs = tmp_path / ".ssh" / "k.rsa"
    theirs.parent.mkdir()
    theirs.touch()
    assert config.load_text("[key k]\n", "f").keys["k"].key_location == theirs
    files.private_dir("keys")
    files.key_file("k").touch()
    assert config.load_text("[key k]\n", "f").keys["k"].key_location == files.key_file("k")


def test_home_and_variables_in_a_location_are_expanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    monkeypatch.setenv("WHERE", ".ssh")
    (key,) = config.load_text("[key k]\nKEY_LOCATION = ~/$WHERE/${WHERE}.rsa\n", "f").keys.values()
    assert key.key_location == Path("/home/ann/.ssh/.ssh.rsa")


def test_key_needs_no_section_where_createkey_has_written_it() -> None:
    text = RIGHT.replace("mykey", "other", 1)
    assert "there is no [key mykey]." in problems(text)[0]
    files.private_dir("keys")
    files.key_file("mykey").touch()
    template = config.load_text(text, "f").template()
    assert config.empty().with_key(template).key_location == files.key_file("mykey")


def test_key_with_nearly_the_right_name_is_suggested() -> None:
    (found,) = problems(RIGHT.replace("mykey", "mykeys", 1))
    assert found.endswith("KEYNAME: there is no [key mykey]. Did you mean 'mykeys'?")


def test_plugin_settings_are_checked_against_its_fields() -> None:
    found = problems(
        "[plugin i]\nSETUP_CLASS = starcluster.plugins.ipcluster.IPCluster\n"
        "ENGINES_PER_NOD = 2\nENGINES_ON_MASTER = some\n"
    )
    assert found == [
        "f:3: [plugin i] ENGINES_PER_NOD: is not known here. Did you mean 'ENGINES_PER_NODE'?",
        "f:4: [plugin i] ENGINES_ON_MASTER: 'some' is not a whole number.",
    ]


def test_who_has_no_use_for_plugins_does_not_fail_because_of_one() -> None:
    text = f"[plugin broken]\nSETUP_CLASS = no.Such\n{RIGHT}PLUGINS = broken\n"
    assert "there is no module 'no'" in problems(text)[0]
    template = config.load_text(text, "f", check_plugins=False).template()
    assert template.plugins[0].setup_class == "no.Such"


KINDS = st.sampled_from(
    ["global", "aws info", "key k", "cluster c", "cluster d", "plugin p", "volume v", "zzz"]
)
KEYS = st.sampled_from(
    sorted(
        {
            field.alias or name
            for model in (
                config.GlobalSettings,
                config.AwsSettings,
                config.KeySettings,
                config.Volume,
                config.Permission,
                config.PluginSection,
                config.Template,
            )
            for name, field in model.model_fields.items()
        }
        | {"extends", "protocol", "include"}
    )
)
VALUES = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["k", "c", "d", "c, d", "p", "v", "a.b", "local", "~", "$HOME", "~x", "10/8"]),
)


def outcome(load: Callable[[], config.Config]) -> tuple[str, ...]:
    """Return the problems, none when it loads; what is not a `ConfigError` is not caught."""
    try:
        load()
    except ConfigError as error:
        return error.problems or ("f: nothing is said",)
    return ()


@settings(deadline=None)
@given(st.lists(st.tuples(KINDS, st.lists(st.tuples(KEYS | st.text(max_size=9), VALUES)))))
def test_any_file_loads_or_is_wrong_in_our_words(
    file: list[tuple[str, list[tuple[str, str]]]],
) -> None:
    text = "".join(
        f"[{kind}]\n" + "".join(f"{key} = {value}\n" for key, value in entries)
        for kind, entries in file
    )
    found = outcome(lambda: config.load_text(text, "f"))
    assert all(re.match(r"f:\d+: ", one) and one.isprintable() for one in found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary())
def test_any_bytes_load_or_are_wrong_in_our_words(spotcluster_home: Path, raw: bytes) -> None:
    path = spotcluster_home / "any"
    path.write_bytes(raw)
    found = outcome(lambda: config.load(path))
    assert all(one.startswith(f"{path}:") for one in found)

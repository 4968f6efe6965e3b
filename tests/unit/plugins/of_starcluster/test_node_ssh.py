"""`node.ssh` does what StarCluster's did; the node is this computer, as a user without sudo."""

from __future__ import annotations

import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from here import Here

from spotcluster.errors import NodeError, RemoteCommandFailed
from spotcluster.plugins.starcluster.nodes import Node
from spotcluster.plugins.starcluster.remote import Remote


@pytest.fixture
def node(tmp_path: Path) -> Here:
    home = tmp_path / "home"
    home.mkdir()
    return Here(home)


@pytest.fixture
def ssh(node: Here) -> Remote:
    return Remote(node)  # type: ignore[arg-type]


def test_lines_come_stripped_and_standard_error_last(ssh: Remote) -> None:
    assert ssh.execute("echo ' a '; echo oops >&2; printf b") == ["a", "b", "oops"]
    assert ssh.execute("true") == []
    assert ssh.execute("echo; echo x") == ["", "x"]


def test_command_is_not_under_our_strictness(ssh: Remote) -> None:
    assert ssh.execute("false; echo $nothing; false | true; echo on") == ["", "on"]


def test_only_the_last_of_several_commands_counts(ssh: Remote) -> None:
    """As StarCluster had it; plugins rely on it."""
    assert ssh.execute("false\necho on") == ["on"]


def test_command_that_fails_is_named_with_node_status_and_output(ssh: Remote) -> None:
    with pytest.raises(RemoteCommandFailed) as caught:
        ssh.execute("echo almost\nexit 3")
    assert str(caught.value) == (
        "master: its command failed: `echo almost ...` ended with status 3; it printed last:\n"
        "almost"
    )
    assert ssh.get_last_status() == 3
    assert ssh.execute("echo x; false", ignore_exit_status=True) == ["x"]
    assert ssh.execute("echo x; false", raise_on_failure=False) == ["x"]
    assert ssh.get_status("exit 7") == 7
    assert ssh.get_status("true") == 0


def test_output_that_was_not_to_be_logged_is_not_in_the_error(ssh: Remote) -> None:
    with pytest.raises(RemoteCommandFailed) as caught:
        ssh.execute("echo password; false", log_output=False)
    assert "\npassword" not in str(caught.value)


def test_what_is_begun_in_the_background_is_not_waited_for(ssh: Remote, node: Here) -> None:
    fifo = node.home / "fifo"
    ssh.execute("mkfifo fifo")
    assert ssh.execute_async("cat fifo > seen") == []
    fifo.write_text("told")  # it opens when somebody reads
    ssh.execute("while ! grep -q told seen; do sleep 0.05; done")


def test_files_are_written_when_they_are_closed(ssh: Remote, node: Here) -> None:
    path = node.home / "some file"
    handle = ssh.remote_file("some file", "w")
    handle.write("one\n")
    handle.write(b"two\n")
    handle.close()
    assert path.read_text() == "one\ntwo\n"
    with ssh.remote_file("some file", "a") as more:
        more.write("three\n")
    assert ssh.remote_file("some file", "r").readlines() == ["one\n", "two\n", "three\n"]
    assert ssh.get_remote_file_lines("some file", "^t") == ["two\n", "three\n"]
    ssh.remove_lines_from_file("some file", "two")
    assert path.read_text() == "one\nthree\n"
    ssh.remote_file("some file", "w").close()
    assert path.read_text() == ""


def test_file_that_a_plugin_never_closes_is_written_all_the_same(ssh: Remote, node: Here) -> None:
    ssh.remote_file("left open", "w").write("written")
    assert (node.home / "left open").read_text() == "written"


def test_reading_what_is_not_there_is_an_oserror_as_sftp_had_it(ssh: Remote) -> None:
    for attempt in (
        lambda: ssh.remote_file("nothing", "r"),
        lambda: ssh.stat("nothing"),
        lambda: ssh.get("nothing", "/tmp"),
    ):
        with pytest.raises(OSError, match="no such file"):
            attempt()


def test_what_is_asked_and_done_with_paths(ssh: Remote, node: Here) -> None:
    ssh.makedirs("a/b c", 0o700)
    ssh.mkdir("a/d")
    ssh.mkdir("a/d", ignore_failure=True)
    with pytest.raises(RemoteCommandFailed):
        ssh.mkdir("a/d")
    ssh.execute("touch 'a/one' 'a/two'; ln -s nowhere a/link")
    assert ssh.isdir("a/b c")
    assert not ssh.isfile("a/b c")
    assert ssh.isfile("a/one")
    assert ssh.lpath_exists("a/link")
    assert not ssh.path_exists("a/link")
    assert sorted(ssh.ls("a")) == ["a/b c", "a/d", "a/link", "a/one", "a/two"]
    assert sorted(ssh.glob("a/*o*")) == ["a/one", "a/two"]
    assert ssh.glob("a/z*") == []
    ssh.chmod(0o640, "a/one")
    assert stat.S_IMODE(ssh.stat("a/one").st_mode) == 0o640
    assert stat.S_ISLNK(ssh.lstat("a/link").st_mode)
    ssh.unlink("a/one")
    assert not (node.home / "a" / "one").exists()


@pytest.fixture(params=["this Python", "Debian 12's"])
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a tarfile as Python 3.11.0 to 3.11.3 have it: it does not know of filters."""
    if request.param == "this Python" or not hasattr(tarfile, "data_filter"):
        return
    extract = tarfile.TarFile.extract

    def older(own: Any, member: Any, path: Any = "", *, set_attrs: bool = True) -> None:
        extract(own, member, path, set_attrs, filter="fully_trusted")

    monkeypatch.delattr(tarfile, "data_filter")
    monkeypatch.setattr(tarfile.TarFile, "extract", older)


@pytest.mark.usefixtures("python")
def test_files_and_folders_are_copied_there_and_back(
    ssh: Remote, node: Here, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "x").write_text("content of x")
    ssh.put(str(source / "x"), "renamed")
    assert (node.home / "renamed").read_text() == "content of x"
    ssh.put([str(source), str(source / "x")])
    assert (node.home / "source" / "x").read_text() == "content of x"
    assert (node.home / "x").read_text() == "content of x"
    back = tmp_path / "back"
    back.mkdir()
    ssh.get(["source", "ren*"], str(back))
    assert (back / "source" / "x").read_text() == "content of x"
    assert (back / "renamed").read_text() == "content of x"
    ssh.get("source", str(tmp_path / "again"))
    assert (tmp_path / "again" / "x").read_text() == "content of x"


@pytest.mark.usefixtures("python")
def test_mode_of_a_program_comes_too_and_owner_and_others_rights_do_not(
    ssh: Remote, node: Here, tmp_path: Path
) -> None:
    program = node.home / "program"
    program.write_text("true\n")
    program.chmod(0o777)
    ssh.get("program", str(tmp_path / "program"))
    assert stat.S_IMODE((tmp_path / "program").stat().st_mode) == 0o755
    assert (tmp_path / "program").stat().st_uid == os.getuid()


@pytest.mark.usefixtures("python")
def test_what_would_be_outside_of_the_folder_is_refused_in_one_sentence(
    ssh: Remote, node: Here, tmp_path: Path
) -> None:
    (node.home / "source").mkdir()
    (node.home / "source" / "link").symlink_to("/etc")
    with pytest.raises(NodeError, match=r"^master: 'source/link' of it "):
        ssh.get("source", str(tmp_path))
    assert not (tmp_path / "source" / "link").is_symlink()


def test_it_is_root_by_sudo_until_another_user_is_wanted(node: Here) -> None:
    node.sudo = True
    ssh = Remote(node)  # type: ignore[arg-type]
    ssh.execute("true")
    ssh.switch_user("ipuser")
    ssh.execute("true")
    ssh.connect(username="root")
    ssh.isdir("/")
    assert node.users == ["root", "ipuser", "root"]


def test_without_sudo_it_is_the_login_and_nobody_else(ssh: Remote, node: Here) -> None:
    ssh.execute("true")
    ssh.switch_user("ipuser")
    ssh.execute("true")
    assert node.users == [None, None]
    ssh.switch_user("somebody")
    with pytest.raises(NodeError, match=r"master: it has no sudo, so nothing .* as somebody"):
        ssh.execute("true")


def test_programs_are_found_and_the_lacking_one_is_named(ssh: Remote) -> None:
    assert ssh.which("bash")[0].endswith("/bash")
    assert ssh.has_required(["bash", "ls"])
    assert not ssh.has_required(["bash", "no-such-program"])
    with pytest.raises(NodeError, match="it has no program 'no-such-program'"):
        ssh.check_required(["no-such-program"])
    assert "/bin" in ssh.get_path()


def test_what_is_not_here_is_said_by_name(node: Here) -> None:
    theirs = Node(None, node)  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match=r"node\.ec2 of StarCluster is not here"):
        _ = theirs.ec2
    with pytest.raises(AttributeError, match=r"node\.ssh\.transport of StarCluster is not here"):
        _ = theirs.ssh.transport


def test_users_and_groups_of_a_node(node: Here) -> None:
    theirs = Node(None, node)  # type: ignore[arg-type]
    assert theirs.getpwnam("root").pw_dir == "/root"
    assert theirs.getpwuid(0).pw_name == "root"
    assert theirs.getgrgid(0).gr_name == "root"
    assert theirs.getgrnam("no-such-group") is None
    with pytest.raises(NodeError, match="it has no user 'no-such-user'"):
        theirs.add_user_to_group("no-such-user", "root")

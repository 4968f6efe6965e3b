"""`node.ssh` of StarCluster's plugins: commands and files on a node, over our own SSH.

StarCluster logged in as root. An image's own login cannot: it becomes root by sudo, without a
password. Where a machine has no such sudo (the local cloud's never have), the same is done as the
login, and what needs root fails there as it does for any user.
"""

from __future__ import annotations

import base64
import io
import re
import secrets
import shlex
import string
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from spotcluster.errors import NodeError, RemoteCommandFailed
from spotcluster.plugins.starcluster.telling import log

if TYPE_CHECKING:
    from spotcluster.plugins.base import Node

_LONGEST = 3600.0  # seconds for one command; the hook's own limit is mostly less
_FILE = 120.0
_LACKING = 44  # a status of ours, for a file that is not there

# The profile may fail, or name a PATH without what this user has of its own.
_PROFILE = """
own=$PATH
if [ -r /etc/profile ]; then . /etc/profile >/dev/null 2>&1; fi
PATH=$own:$PATH
"""
# What is run is no script of ours: its shell has none of our strictness, and its status is told.
_COMMAND = """
errors=$(mktemp)
trap 'rm -f -- "$errors"' EXIT
status=0
bash --norc -c "$profile"'eval "$1"' bash "$command" 2>"$errors" || status=$?
printf '\\n%s\\n%s\\n%s\\n' "$mark" "$status" "$mark"
cat -- "$errors"
"""
_DETACHED = """
nohup bash --norc -c "$profile"'eval "$1"' bash "$command" </dev/null >/dev/null 2>&1 &
"""


class Stat(NamedTuple):
    """What is known of a file."""

    st_mode: int
    st_uid: int
    st_gid: int
    st_size: int
    st_mtime: float


class RemoteFile(io.StringIO):
    """A file on a node, read when it is opened and written when it is closed."""

    def __init__(self, remote: Remote, name: str, mode: str) -> None:
        self.name = name
        self._remote = remote
        self._writes = any(letter in mode for letter in "wa+")
        text = "" if "w" in mode else remote.read(name, there="a" not in mode)
        super().__init__(text, newline="")
        if "a" in mode:
            self.seek(0, io.SEEK_END)

    def write(self, text: str | bytes) -> int:
        """Write text, or bytes, which Python 2 did not tell from it."""
        if isinstance(text, bytes):
            text = text.decode("utf-8", "surrogateescape")
        return super().write(text)

    def flush(self) -> None:
        """Put on the node what has been written."""
        if self._writes and not self.closed:
            self._remote.write(self.name, self.getvalue())

    def chmod(self, mode: int) -> None:
        """Set the mode of the file."""
        self.flush()
        self._remote.chmod(mode, self.name)

    def close(self) -> None:
        """Put on the node what has been written, and be done."""
        if not self.closed:
            self.flush()
        super().close()


class Remote:
    """Commands and files on a node, as root unless `switch_user` says otherwise.

    What StarCluster's has and this has not raises an AttributeError that says so.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._username = "root"
        self._last_status: int | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"node.ssh.{name} of StarCluster is not here; node.ssh.execute runs any command"
        )

    # --- commands ---------------------------------------------------------------------------------

    def execute(
        self,
        command: str,
        silent: bool = True,  # noqa: FBT001, FBT002 - as StarCluster's
        only_printable: bool = False,  # noqa: FBT001, FBT002
        ignore_exit_status: bool = False,  # noqa: FBT001, FBT002
        log_output: bool = True,  # noqa: FBT001, FBT002
        detach: bool = False,  # noqa: FBT001, FBT002
        source_profile: bool = True,  # noqa: FBT001, FBT002
        raise_on_failure: bool = True,  # noqa: FBT001, FBT002
    ) -> list[str]:
        """Run a command and return the lines that it printed, standard error last.

        Raises
        ------
        RemoteCommandFailed
            Its status was not 0, and neither `ignore_exit_status` nor `raise_on_failure` says
            that this does not matter.
        """
        given = _given(profile=_PROFILE if source_profile else "", command=command)
        if detach:
            self._last_status = None
            self._run(given + _DETACHED, "beginning a command in the background")
            return []
        status, lines = self._perform(given)
        if only_printable:
            lines = ["".join(one for one in line if one in string.printable) for line in lines]
        if not silent:
            for line in lines:
                log.info("%s: %s", self._node.alias, line)
        if status and not ignore_exit_status:
            shown = "\n".join(lines) if log_output else ""
            error = RemoteCommandFailed(
                self._node.alias, "its command", _short(command), status, shown
            )
            if raise_on_failure:
                raise error
            log.error("%s", error)
        return lines

    def execute_async(self, command: str, source_profile: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        """Begin a command that goes on when we are gone."""
        return self.execute(command, detach=True, source_profile=source_profile)

    def get_status(self, command: str, source_profile: bool = True) -> int:  # noqa: FBT001, FBT002
        """Run a command and return its exit status."""
        profile = _PROFILE if source_profile else ""
        return self._perform(_given(profile=profile, command=command))[0]

    def get_last_status(self) -> int | None:
        """Return the exit status of the last command."""
        return self._last_status

    def which(self, prog: str) -> list[str]:
        """Return where a program is; empty where it is not."""
        return self.execute(f"command -v {shlex.quote(prog)}", ignore_exit_status=True)

    def check_required(self, progs: Iterable[str]) -> bool:
        """Refuse where a program is lacking."""
        for prog in progs:
            if not self.which(prog):
                raise NodeError(self._node.alias, f"it has no program '{prog}'.")
        return True

    def has_required(self, progs: Iterable[str]) -> bool:
        """Return whether all programs are there."""
        return all(self.which(prog) for prog in progs)

    def get_env(self) -> dict[str, str]:
        """Return the environment that commands have."""
        pairs = (line.partition("=") for line in self.execute("env"))
        return {name: value for name, there, value in pairs if there}

    def get_path(self) -> str:
        """Return the PATH that commands have."""
        return self.get_env()["PATH"]

    def switch_user(self, user: str | None) -> None:
        """Do what follows as another user."""
        self._username = user or self._username

    def connect(self, host: str | None = None, username: str | None = None, **_: Any) -> None:  # noqa: ARG002 - as StarCluster's
        """Do what follows as another user; the connection itself is there."""
        self.switch_user(username)

    def get_current_user(self) -> str:
        """Return as whom things are done."""
        return self._username

    def is_active(self) -> bool:
        """Return that there is a connection: one that was lost is made again."""
        return True

    def close(self) -> None:
        """Do nothing: the connection is the command's, and ends with it."""

    # --- files ------------------------------------------------------------------------------------

    def remote_file(self, file: str, mode: str = "w") -> RemoteFile:
        """Open a file; what is written is there when it is closed."""
        return RemoteFile(self, file, mode)

    def read(self, path: str, *, there: bool = True) -> str:
        """Return the text of a file; empty where it is not and need not be `there`."""
        script = _given(path=path) + f'[ -e "$path" ] || exit {_LACKING}\nbase64 <"$path"\n'
        try:
            said = self._run(script, f"reading {path}", _FILE)
        except FileNotFoundError:
            if there:
                raise
            return ""
        return base64.b64decode(said).decode("utf-8", "surrogateescape")

    def write(self, path: str, text: str) -> None:
        """Write a file; owner and mode of one that was there stay."""
        data = text.encode("utf-8", "surrogateescape")
        self._run(_given(path=path) + 'cat >"$path"\n', f"writing {path}", _FILE, data)

    def get_remote_file_lines(
        self,
        remote_file: str,
        regex: str | None = None,
        matching: bool = True,  # noqa: FBT001, FBT002
    ) -> list[str]:
        """Return the lines of a file; with `regex` those that match it, or those that do not."""
        lines = self.read(remote_file).splitlines(keepends=True)
        if regex is None:
            return lines
        wanted = re.compile(regex)
        return [line for line in lines if bool(wanted.search(line)) == matching]

    def remove_lines_from_file(self, remote_file: str, regex: str | None) -> None:
        """Take the lines that match out of a file."""
        if regex:
            lines = self.get_remote_file_lines(remote_file, regex, matching=False)
            self.write(remote_file, "".join(lines))

    def stat(self, path: str) -> Stat:
        """Return what is known of a file, and of what a link leads to.

        Raises
        ------
        FileNotFoundError
        """
        return self._stat(path, "-L")

    def lstat(self, path: str) -> Stat:
        """Return what is known of a file, or of a link itself."""
        return self._stat(path, "")

    def path_exists(self, path: str) -> bool:
        """Return whether there is something, at the end of links too."""
        return self._is("-e", path)

    def lpath_exists(self, path: str) -> bool:
        """Return whether there is something, if only a link."""
        return self._is("-e", path) or self._is("-L", path)

    def isfile(self, path: str) -> bool:
        """Return whether it is a file."""
        return self._is("-f", path)

    def isdir(self, path: str) -> bool:
        """Return whether it is a folder."""
        return self._is("-d", path)

    def mkdir(self, path: str, mode: int = 0o755, ignore_failure: bool = False) -> None:  # noqa: FBT001, FBT002
        """Make a folder."""
        try:
            self._on(path, f'mkdir -m {mode:o} -- "$path"', "making")
        except RemoteCommandFailed:
            if not ignore_failure:
                raise

    def makedirs(self, path: str, mode: int = 0o755) -> None:
        """Make a folder and those above it."""
        self._on(path, f'mkdir -p -m {mode:o} -- "$path"', "making")

    def unlink(self, remote_file: str) -> None:
        """Remove a file."""
        self._on(remote_file, 'rm -- "$path"', "removing")

    def chmod(self, mode: int, remote_path: str) -> None:
        """Set a file's mode."""
        self._on(remote_path, f'chmod {mode:o} -- "$path"', "setting the mode of")

    def chown(self, uid: int | str, gid: int | str, remote_path: str) -> None:
        """Set a file's owner and group."""
        owner = shlex.quote(f"{uid}:{gid}")
        self._on(remote_path, f'chown {owner} -- "$path"', "setting the owner of")

    def ls(self, path: str) -> list[str]:
        """Return the paths of what is in a folder."""
        said = self._on(path, 'ls -A1 -- "$path"', "listing")
        return [f"{path.rstrip('/')}/{name}" for name in said.splitlines()]

    def glob(self, pattern: str) -> list[str]:
        """Return the paths that match a pattern."""
        given = _given(pattern=pattern)
        said = self._run(f'{given}IFS=\ncompgen -G "$pattern" || true\n', f"listing {pattern}")
        return said.splitlines()

    def put(self, localpaths: str | Sequence[str], remotepath: str = ".") -> None:
        """Copy files and folders of this computer to the node."""
        packed = io.BytesIO()
        sources = [Path(one).expanduser() for one in _listed(localpaths)]
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for source in sources:
                archive.add(source, source.resolve().name)
        script = (
            f"{_given(path=remotepath, name=sources[0].resolve().name)}"
            'if [ -d "$path" ]; then exec tar -xzf - --no-same-owner -C "$path"; fi\n'
            f"[ {len(sources)} = 1 ] || {{ echo 'no such folder' >&2; exit 1; }}\n"
            "folder=$(mktemp -d)\ntrap 'rm -rf -- \"$folder\"' EXIT\n"
            'tar -xzf - --no-same-owner -C "$folder"\nmv -- "$folder/$name" "$path"\n'
        )
        self._run(script, f"copying to {remotepath}", _LONGEST, packed.getvalue())

    def get(self, remotepaths: str | Sequence[str], localpath: str = "") -> None:
        """Copy files and folders of the node, or what matches patterns, to this computer."""
        target = Path(localpath or ".").expanduser()
        found = [path for one in _listed(remotepaths) for path in self.glob(one) or [one]]
        for path in found:
            script = _given(path=path) + (
                f'[ -e "$path" ] || exit {_LACKING}\n'
                'tar -czf - -C "$(dirname -- "$path")" -- "$(basename -- "$path")" | base64\n'
            )
            packed = io.BytesIO(base64.b64decode(self._run(script, f"copying {path}", _LONGEST)))
            with tarfile.open(fileobj=packed, mode="r:gz") as archive:
                is_into = target.is_dir()
                for member in archive:
                    if is_into:
                        self._unpack(archive, member, target)
                        continue
                    _, _, below = member.name.partition("/")  # it gets the name that was asked for
                    member.name = f"{target.name}/{below}" if below else target.name
                    self._unpack(archive, member, target.parent)

    # --- how --------------------------------------------------------------------------------------

    def _unpack(self, archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
        """Unpack one member into a folder; what would be outside of it is refused."""
        place = folder / member.name
        if hasattr(tarfile, "data_filter"):
            try:
                archive.extract(member, folder, filter="data")
            except tarfile.FilterError as error:
                why = f"'{member.name}' of it would not stay in {folder} of this computer: {error}."
                raise NodeError(self._node.alias, why) from error
            return
        # Python 3.11.0 to 3.11.3, which Debian 12 has, cannot tell.
        if not (member.isfile() or member.isdir()):
            why = f"'{member.name}' of it is a link, which needs Python 3.11.4 here, or newer."
            raise NodeError(self._node.alias, why)
        if not place.resolve().is_relative_to(folder.resolve()):
            why = f"'{member.name}' of it would not stay in {folder} of this computer."
            raise NodeError(self._node.alias, why)
        archive.extract(member, folder, set_attrs=False)
        if member.isfile():
            place.chmod(member.mode & 0o755 | 0o600)

    @property
    def _user(self) -> str | None:
        """Who does it, by sudo; None for the login."""
        if self._node.facts.sudo:
            return self._username
        if self._username in ("root", self._node.account.name):
            return None
        raise NodeError(
            self._node.alias, f"it has no sudo, so nothing can be done there as {self._username}."
        )

    def _run(
        self,
        script: str,
        what: str,
        timeout: float = _LONGEST,
        data: bytes | None = None,
    ) -> str:
        try:
            return self._node.run(script, what=what, timeout=timeout, user=self._user, input=data)
        except RemoteCommandFailed as error:
            if error.status == _LACKING:
                raise FileNotFoundError(f"{self._node.alias}: no such file: {what}") from None
            raise

    def _perform(self, given: str) -> tuple[int, list[str]]:
        """Run a command; return its status, and what it printed: standard error comes last."""
        mark = secrets.token_hex(12)
        said = self._run(f"{given}mark={mark}\n{_COMMAND}", "its command")
        printed, status, errors = said.split(f"{mark}\n")
        printed = printed.removesuffix("\n")
        self._last_status = int(status)
        lines = [*printed.splitlines(), *errors.splitlines()]
        return self._last_status, [line.strip() for line in lines]

    def _is(self, test: str, path: str) -> bool:
        said = self._on(path, f'[ {test} "$path" ] && echo yes || echo no', "looking at")
        return said.strip() == "yes"

    def _stat(self, path: str, option: str) -> Stat:
        script = (
            f'[ -e "$path" ] || [ -L "$path" ] || exit {_LACKING}\n'
            f"stat {option} -c '%f %u %g %s %Y' -- \"$path\""
        )
        mode, uid, gid, size, changed = self._on(path, script, "looking at").split()
        return Stat(int(mode, 16), int(uid), int(gid), int(size), float(changed))

    def _on(self, path: str, script: str, what: str) -> str:
        return self._run(f"{_given(path=path)}{script}\n", f"{what} {path}", _FILE)


def _given(**values: str) -> str:
    """Return the lines of a script that give variables these values."""
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())


def _listed(paths: str | Sequence[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def _short(command: str) -> str:
    """Return the first line of a command, for an error."""
    first, more, _ = command.strip().partition("\n")
    return f"{first} ..." if more else first

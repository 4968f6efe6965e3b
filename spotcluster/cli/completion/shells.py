"""The shells: what each one runs when Tab is pressed, where it looks for that, and our answer.

How words are taken from a shell and given back to it is click's. The scripts are our own: they call
the program by the name that was typed, so that one in a virtual environment that is not entered is
completed too, and they show none of its errors.
"""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from spotcluster import files

VARIABLE = "_SPOTCLUSTER_COMPLETE"
"""Set by the scripts, to the shell's name and what is wanted: ``bash_complete``."""

_PROGRAM = "spotcluster"


class _Bash(BashComplete):
    # macOS has a bash of 2007, which lacks compopt and nosort.
    source_template = """\
%(complete_func)s() {
    local IFS=$'\\n' line
    COMPREPLY=()
    for line in $(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "${COMP_WORDS[0]/#\\~/$HOME}" 2>/dev/null); do
        case $line in
            plain,*) COMPREPLY+=("${line#plain,}") ;;
            *) compopt -o default 2>/dev/null ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -F %(complete_func)s %(prog_name)s
"""

    @staticmethod
    def _check_version() -> None:
        """Look at no version: ours works with old ones too."""


class _Zsh(ZshComplete):
    source_template = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a plain described answer
    local kind name about
    answer=("${(@f)$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT-1)) \\
        %(complete_var)s=zsh_complete ${~words[1]} 2>/dev/null)}")
    for kind name about in $answer; do
        case $kind in
            plain) [[ $about == _ ]] && plain+=("$name") || described+=("$name:$about") ;;
            dir) _path_files -/ ;;
            file) _path_files -f ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described -U
    (( $#plain )) && compadd -U -V unsorted -a plain
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    compdef %(complete_func)s %(prog_name)s
fi
"""


class _Fish(FishComplete):
    source_template = """\
function %(complete_func)s
    set -l typed (commandline -opc)
    set -l program (string replace -r '^~' $HOME -- $typed[1])
    for line in (env %(complete_var)s=fish_complete COMP_WORDS=(commandline -cp | string collect) \\
            COMP_CWORD=(commandline -t) $program 2>/dev/null)
        set -l parts (string split -m 1 , -- $line)
        switch $parts[1]
            case plain
                echo $parts[2]
            case dir
                __fish_complete_directories $parts[2]
            case file
                __fish_complete_path $parts[2]
        end
    end
end
complete --no-files --keep-order --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": _Zsh, "fish": _Fish}


def script(program: click.Command, shell: str) -> str:
    """Return what the shell is to read."""
    return SHELLS[shell](program, {}, _PROGRAM, VARIABLE).source()


def answer(program: click.Command, instruction: str) -> int:
    """Answer a shell that asks what may come next; return the exit status."""
    shell, _, wanted = instruction.partition("_")
    if shell not in SHELLS or wanted != "complete":
        return 1
    try:
        click.echo(SHELLS[shell](program, {}, _PROGRAM, VARIABLE).complete().encode())
    except (Exception, KeyboardInterrupt):  # noqa: BLE001 - it would be shown amid what is typed
        return 1
    return 0


def of_the_user() -> str | None:
    """Return the user's shell, if it is one of those."""
    name = Path(os.environ.get("SHELL", "")).name
    return name if name in SHELLS else None


def place(shell: str) -> Path:
    """Return the file that the shell, or what completes for it, reads for our program."""
    data = _folder("XDG_DATA_HOME", "~/.local/share")
    if shell == "bash":
        own = _folder("BASH_COMPLETION_USER_DIR", str(data / "bash-completion"))
        return own / "completions" / _PROGRAM
    if shell == "zsh":
        return _folder("ZDOTDIR", "~") / ".zfunc" / f"_{_PROGRAM}"
    return _folder("XDG_CONFIG_HOME", "~/.config") / "fish" / "completions" / f"{_PROGRAM}.fish"


def first_steps(shell: str, path: Path) -> str:
    """Return what else is to be done, once, in a sentence or two."""
    if shell == "bash":
        return (
            "It works in new shells where the package bash-completion is at work; where it is not,"
            f" this line in ~/.bashrc does without:\n  . {path}"
        )
    if shell == "zsh":
        return (
            "These lines in .zshrc, if they are not there, have zsh read it in new shells:\n"
            f"  fpath=({path.parent} $fpath)\n  autoload -Uz compinit && compinit"
        )
    return "It works in new shells and in this one, where `spotcluster` is on the PATH."


def _folder(variable: str, usual: str) -> Path:
    return files.expand(Path(os.environ.get(variable) or usual))

"""The shells' completion of p2v-tui's command line, from its options and settings: bash, zsh, fish.

shtab and argcomplete complete options; neither completes the settings inside the one argument of --cmdline.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from p2v_tui import cli, manual
from p2v_tui.config import SETTINGS
from p2v_tui.session.plan.output_modes import OUTPUT_MODES
from p2v_tui.setting import Setting

PROJECT = Path(__file__).resolve().parents[1]

BASH = r"""# Completion of p2v-tui for bash. Made by docs/generate.py.

# Completes the last of the settings in $1, which is the whole text of --cmdline, as far as it is written.
_p2v_tui_settings()
{
    local before="" last=$1 word
    case $1 in
    *' '*) before="${1% *} " last=${1##* } ;;
    esac
    while IFS= read -r word; do
        COMPREPLY+=("$before$word")
    done < <(compgen -W '{words}' -- "$last")
    # A value is wanted: with one answer alone bash would close the quote, or put a space there.
    [[ ${#COMPREPLY[@]} -ne 1 || ${COMPREPLY[0]} != *= ]] || COMPREPLY+=("${COMPREPLY[0]}...")
}

_p2v_tui()
{
    local cur=$2 option=$3 line=${COMP_LINE:0:COMP_POINT} quote="" typed
    COMPREPLY=()
    # bash splits words at "=" and ":"; what has been typed of the argument, and of which option, the line tells.
    if [[ $line =~ [[:space:]]--(cmdline|config|test-disk|help)[=[:space:]]+([\"\']?)([^\"\']*)$ ]]; then
        option=--${BASH_REMATCH[1]} quote=${BASH_REMATCH[2]} typed=${BASH_REMATCH[3]}
        # Without quotes the argument ends at a space.
        [[ -n $quote || $typed != *' '* ]] || option=
    else
        option=
    fi
    case $option in
    --cmdline)
        _p2v_tui_settings "$typed"
        # bash replaces what it takes for the word: what it does not is left out.
        local kept=${typed%"${cur#[\"\']}"} i
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=${COMPREPLY[i]#"$kept"}
        done
        ;;
    --config | --test-disk)
        compopt -o filenames
        [[ $cur != = ]] || cur=
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
        ;;
    --help)
        [[ $cur != = ]] || cur=
        mapfile -t COMPREPLY < <(compgen -W '{names}' -- "$cur")
        ;;
    *)
        mapfile -t COMPREPLY < <(compgen -W '{options}' -- "$cur")
        ;;
    esac
}

complete -F _p2v_tui p2v-tui
"""

ZSH = """#compdef p2v-tui
# Completion of p2v-tui for zsh. Made by docs/generate.py.

# Completes the last of the settings in the text of --cmdline.
_p2v_tui_settings()
{
    local -a settings=({words})
    compset -P '* '
    # A value is wanted after "=": no space, and a quote stays open.
    compadd -S '' -- ${(M)settings:#*=}
    compadd -- ${settings:#*=}
}

_arguments -S \\
{options}
"""

FISH = """# Completion of p2v-tui for fish. Made by docs/generate.py.
complete -c p2v-tui -f
"""


def pages() -> dict[Path, str]:
    """Each completion file and its text."""
    share = PROJECT / "share"
    return {
        share / "bash-completion/completions/p2v-tui": bash(),
        share / "zsh/site-functions/_p2v-tui": zsh(),
        share / "fish/vendor_completions.d/p2v-tui.fish": fish(),
    }


def bash() -> str:
    texts = {"words": _lines(words()), "names": _lines(setting_names()), "options": _lines(option_names())}
    return _filled(BASH, texts)


def zsh() -> str:
    argument = {
        "help": f"::setting:({_lines(setting_names())})",
        "cmdline": ":settings:_p2v_tui_settings",
        "config": ":file:_files",
        "test_disk": ":disk image:_files",
    }
    specifications = []
    for action in cli.parser()._actions:
        takes = argument.get(action.dest, "")
        about = re.sub(r"([][:\\])", r"\\\1", action.help or "")
        for name in action.option_strings:
            # With an argument behind it: "=" or a space, as both are understood.
            equals = "=" if takes and name.startswith("--") else ""
            excluded = f"({' '.join(action.option_strings)})"
            specifications.append(f"  {shlex.quote(f'{excluded}{name}{equals}[{about}]{takes}')}")
    return _filled(ZSH, {"words": _lines(words()), "options": " \\\n".join(specifications)})


def fish() -> str:
    lines = []
    for action in cli.parser()._actions:
        names = " ".join(
            f"-l {name[2:]}" if name.startswith("--") else f"-s {name[1:]}" for name in action.option_strings
        )
        takes = {"cmdline": f" -x -a {_quoted(' '.join(words()))}", "config": " -r -F", "test_disk": " -r -F"}
        if action.dest == "help":
            takes["help"] = f" -x -a {_quoted(' '.join(manual.names(setting)[-1] for setting in SETTINGS))}"
        lines.append(f"complete -c p2v-tui {names}{takes.get(action.dest, '')} -d {_quoted(action.help or '')}\n")
    return FISH + "".join(lines)


def setting_names() -> list[str]:
    return [name for setting in SETTINGS for name in manual.names(setting)]


def option_names() -> list[str]:
    return [name for action in cli.parser()._actions for name in action.option_strings]


def words() -> list[str]:
    """What can be written of each setting: its names, with "=" where it needs a value, and with the values it has."""
    return [word for setting in SETTINGS for name in manual.names(setting) for word in _words(setting, name)]


def _words(setting: Setting, name: str) -> list[str]:
    choices = setting.kind.choices
    if setting.attribute == "output_type":
        choices = tuple(mode.names[0] for mode in OUTPUT_MODES)
    return [name if setting.kind.bare is not None else f"{name}=", *(f"{name}={choice}" for choice in choices)]


def _filled(page: str, texts: dict[str, str]) -> str:
    for name, text in texts.items():
        page = page.replace(f"{{{name}}}", text)
    return page


def _lines(words: list[str]) -> str:
    return "\n" + "\n".join(words) + "\n"


def _quoted(text: str) -> str:
    """For fish, which knows two escapes within single quotes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

"""Commands about the tool itself, and those of later etcdctls: version, help, completion, downgrade."""

from cli.kv.flags import Values
from cli.kv.session import EXIT_BAD_ARGUMENTS, fail, session_from, write
from cli.kv.tree import API_VERSION, VERSION, Command
from kvstore.client.client import Client
from kvstore.client.maintenance import DowngradeAction


def commands(root: Command) -> list[Command]:
    """The commands of this module; completion needs to know all others."""
    downgrade = [
        Command("validate", "Says whether a downgrade is possible", "<TARGET_VERSION>", _validate),
        Command("enable", "Begins a downgrade", "<TARGET_VERSION>", _enable),
        Command("cancel", "Takes a downgrade back", "", _cancel),
    ]
    completion = Command(
        "completion",
        "Prints a script that completes commands in a shell",
        "<bash|zsh|fish>",
        lambda values: _completion(values, root),
    )
    return [
        Command("version", "Prints the version", "", _version),
        Command("downgrade", "Commands about downgrades", "<subcommand>", children=downgrade),
        completion,
    ]


def _version(values: Values) -> None:
    write(f"etcdctl version: {VERSION}\nAPI version: {API_VERSION}\n".encode())


def _downgrade(values: Values, action: DowngradeAction, sentence: str) -> None:
    name = action.name.lower()
    needs_version = action is not DowngradeAction.CANCEL
    if needs_version and not values.arguments:
        fail("no target version inputted", EXIT_BAD_ARGUMENTS)
    if len(values.arguments) > int(needs_version):
        fail(f"downgrade {name}: too many arguments", EXIT_BAD_ARGUMENTS)
    version = values.arguments[0] if needs_version else ""
    session = session_from(values)

    async def command(client: Client) -> bytes:
        result = await client.downgrade(action, version)
        text = f"Downgrade {name} success, {sentence.format(result.version)}"
        return session.printer().confirmed(text, result)

    session.show(command)


def _validate(values: Values) -> None:
    _downgrade(values, DowngradeAction.VALIDATE, "cluster version {}")


def _enable(values: Values) -> None:
    _downgrade(values, DowngradeAction.ENABLE, "cluster version {}")


def _cancel(values: Values) -> None:
    _downgrade(values, DowngradeAction.CANCEL, "cluster version {}")


def _lines(command: Command, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], str]]:
    """Each path of commands, and the words that may follow."""
    words = [one.name for one in command.children] + [f"--{flag.name}" for flag in command.flags]
    rows = [(path, " ".join(words))]
    for one in command.children:
        rows += _lines(one, (*path, one.name))
    return rows


def _completion(values: Values, root: Command) -> None:
    shell = values.arguments[0] if len(values.arguments) == 1 else ""
    if shell not in ("bash", "zsh", "fish"):
        fail("completion needs the name of a shell: bash, zsh or fish", EXIT_BAD_ARGUMENTS)
    rows = _lines(root)
    if shell == "fish":
        text = "".join(
            "complete -c quorate -n 'string match -q -- \"quorate kv "
            f'{" ".join(path)}" (string trim (commandline -cp | string replace -r "\\s\\S*$" ""))\' '
            f"-a '{words}'\n"
            for path, words in rows
        )
    else:
        cases = "".join(
            f'    "{" ".join(path)}") words="{words}" ;;\n' for path, words in rows if words
        )
        lead = "autoload -U +X bashcompinit && bashcompinit\n" if shell == "zsh" else ""
        text = (
            f"{lead}_quorate_kv() {{\n"
            '  [ "${COMP_WORDS[1]}" = kv ] || return 0\n'
            '  local path="" words="" word\n'
            '  for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do\n'
            '    case "$word" in -*) ;; *) path="${path:+$path }$word" ;; esac\n'
            "  done\n"
            '  case "$path" in\n'
            f"{cases}"
            "  esac\n"
            '  COMPREPLY=($(compgen -W "$words" -- "${COMP_WORDS[COMP_CWORD]}"))\n'
            "}\n"
            "complete -F _quorate_kv quorate\n"
        )
    write(text.encode())

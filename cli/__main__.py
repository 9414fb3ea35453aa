"""Entry point of `quorate`: the command tree.

Exit codes: 0 done; 1 it failed; 2 wrong usage or a mistake in a file; 3 no cluster runs here; 130 Ctrl-C.
Commands are imported when they are called: `quorate status` must not wait for the benchmark's imports. Nothing heavy is
imported before `main` guards it, so that an early Ctrl-C ends as quietly as a late one.
"""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

EXIT_FAILURE, EXIT_INTERRUPTED = 1, 130


def main() -> None:
    """Run the command line; sub-tools load only when asked for."""
    sys.exit(guarded(_run))


def guarded(call: Callable[[], int]) -> int:
    """The exit code of `call`; what a terminal, a pipe or a full disk may do to any program is no traceback."""
    try:
        try:
            code = call()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else EXIT_FAILURE if end.code else 0
        # What cannot be written any more shows here, and not at the interpreter's end.
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does.
        _forget_output()
        return EXIT_FAILURE
    except OSError as error:
        _forget_output()
        sys.stderr.write(f"quorate: {error.strerror or error}: {error.filename or 'output'}\n")
        return EXIT_FAILURE


def _forget_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run() -> int:
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked in ("--version", "-V", "version"):
        sys.stdout.write(_version())
        return 0
    if asked == "kv":
        # A command line of its own: etcdctl's rules for flags are not this tree's.
        from cli.kv.main import run

        return run(sys.argv[2:])
    command_tree(asked)()
    return 0


def _version() -> str:
    import platform
    from importlib import metadata

    from kvstore.version import VERSION

    try:
        own = metadata.version("quorate")
    except metadata.PackageNotFoundError:
        own = "unknown"
    return f"quorate {own} (etcd API {VERSION}, Python {platform.python_version()})\n"


def command_tree(asked: str = "") -> "typer.Typer":
    """All commands, if `asked` is empty or asks for help; else those that are always there, and that one."""
    import typer

    from cli.cluster import register
    from cli.faults import register as register_faults

    app = typer.Typer(
        name="quorate",
        help="A real three-master cluster on one machine, made to be broken on purpose.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def options(
        version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    ) -> None:
        pass

    register(app)
    register_faults(app)
    everything = asked in ("", "--help", "-h", "--show-completion", "--install-completion")
    if everything:
        app.command("kv", help="The store's client, in etcdctl's words.")(lambda: None)
    if asked == "audit" or everything:
        from cli.audit import register as register_audit

        register_audit(app)
    if asked == "bench" or everything:
        from cli.bench import app as bench

        app.add_typer(bench, name="bench", help="Benchmarks, against any etcd endpoint too.")
    if asked == "chaos" or everything:
        from cli.chaos import register as register_chaos

        register_chaos(app)
    if asked == "conformance" or everything:
        from cli.conformance.command import register as register_conformance

        register_conformance(app)
    if asked == "ctl" or everything:
        from cli.ctl import app as ctl

        app.add_typer(
            ctl, name="ctl", help="A small kubectl: get, apply, delete, scale, logs, events."
        )
    if asked == "image" or everything:
        from cli.image import app as image

        app.add_typer(image, name="image", help="Images for pods: load, build, ls, rm.")
    if asked in ("service", "tunnel") or everything:
        from cli.service import register as register_service

        register_service(app)
    if asked == "security-check" or everything:
        from cli.security_check import register as register_security_check

        register_security_check(app)
    if asked == "demo" or everything:
        from cli.demo import register as register_demo

        register_demo(app)
    return app


if __name__ == "__main__":
    main()

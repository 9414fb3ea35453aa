"""Entry point of `quorate`: the command tree.

Exit codes: 0 done; 1 it failed; 2 wrong usage or a mistake in a file; 3 no cluster runs here; 130 Ctrl-C.
Commands are imported when they are called: `quorate status` must not wait for the benchmark's imports.
"""

import sys

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
register(app)
register_faults(app)


def main() -> None:
    """Run the command line; sub-tools load only when asked for."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    everything = asked in ("", "--help", "-h", "--show-completion", "--install-completion")
    if asked == "kv":
        # A command line of its own: etcdctl's rules for flags are not this tree's.
        from cli.kv.main import run

        sys.exit(run(sys.argv[2:]))
    if everything:
        app.command("kv", help="The store's client, in etcdctl's words.")(lambda: None)
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
    if asked == "demo" or everything:
        from cli.demo import register as register_demo

        register_demo(app)
    app()


if __name__ == "__main__":
    main()

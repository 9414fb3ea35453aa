"""`python -m cli.kv`: the store's client alone."""

from cli.kv.main import main

main()

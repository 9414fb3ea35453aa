"""The form of output for people who look at members side by side; other commands have no table."""

from collections.abc import Sequence

from cli.output import (
    Health,
    Printer,
    SnapshotStatus,
    boolean,
    go_duration,
    lines,
    member_rows,
    snapshot_row,
    status_row,
)
from kvstore.client.types import Hash, MemberList, Status


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bytes:
    """A table drawn with + - and |; header centred, cells to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(header, *rows, strict=True)]
    border = "+" + "+".join("-" * (width + 2) for width in widths) + "+"

    def line(cells: Sequence[str]) -> str:
        return "|" + "|".join(f" {cell} " for cell in cells) + "|"

    def centred(cell: str, width: int) -> str:
        left = (width - len(cell)) // 2
        return " " * left + cell + " " * (width - len(cell) - left)

    top = line([centred(cell, width) for cell, width in zip(header, widths, strict=True)])
    body = [line([c.rjust(w) for c, w in zip(row, widths, strict=True)]) for row in rows]
    return lines([border, top, border, *body, border] if body else [border, top, border, border])


class TablePrinter(Printer):
    """For looking at members side by side; other commands have no table."""

    form = "table"

    def member_list(self, result: MemberList) -> bytes:
        """A row per member."""
        header = ("ID", "STATUS", "NAME", "PEER ADDRS", "CLIENT ADDRS", "IS LEARNER")
        return table(header, member_rows(result))

    def status(self, rows: Sequence[tuple[str, Status]]) -> bytes:
        """A row per endpoint."""
        header = (
            "ENDPOINT",
            "ID",
            "VERSION",
            "DB SIZE",
            "IS LEADER",
            "IS LEARNER",
            "RAFT TERM",
            "RAFT INDEX",
            "RAFT APPLIED INDEX",
            "ERRORS",
        )
        return table(header, [status_row(*row) for row in rows])

    def health(self, rows: Sequence[Health]) -> bytes:
        """A row per endpoint."""
        return table(
            ("ENDPOINT", "HEALTH", "TOOK", "ERROR"),
            [
                [row.endpoint, boolean(not row.error), go_duration(row.took_seconds), row.error]
                for row in rows
            ],
        )

    def hashes(self, rows: Sequence[tuple[str, Hash]]) -> bytes:
        """A row per endpoint."""
        return table(("ENDPOINT", "HASH"), [[endpoint, str(r.hash)] for endpoint, r in rows])

    def snapshot_status(self, result: SnapshotStatus) -> bytes:
        """One row."""
        return table(("HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE"), [snapshot_row(result)])

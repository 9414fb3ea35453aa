"""What a checker reports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise, in words for whoever has to find out why.

    `property` is the checker's name. `operations` are ids of operations or watch sessions of the history.
    """

    property: str
    message: str
    operations: tuple[int, ...] = ()
    time: float = 0.0

    def __str__(self) -> str:
        where = "".join(f" #{one}" for one in self.operations)
        return f"{self.property}: {self.message}" + (f" (see{where})" if where else "")

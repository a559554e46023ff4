"""A request for a search, and how the search is told to end, wherever it runs."""

import threading
from dataclasses import dataclass, field
from pathlib import Path


class StopSwitch:
    """Tells a search to end, even one in another process: it runs as long as a file is there."""

    def __init__(self, path: Path):
        self.path = path
        path.touch()

    def is_set(self) -> bool:
        return not self.path.exists()

    def set(self) -> None:
        self.path.unlink(missing_ok=True)


@dataclass(eq=False)
class Visit:
    """One request for a search. Of two numbered ones of a session, the one with the higher number supersedes."""

    session: str | None
    address: str
    number: int | None
    switch: StopSwitch
    arrived: int
    superseded: threading.Event = field(default_factory=threading.Event)
    long: bool = False  # its search takes turns of `SLICE` seconds
    begun: bool = False

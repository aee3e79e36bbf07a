"""What may be found after faults, told by what was acknowledged before them.

Each path has a list of states that are possible, in the order in which their writes began. It begins with the last one
that was acknowledged; behind it stand writes that nobody has acknowledged: each may have survived or not. A path has
one writer, so its writes follow each other.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass, field
from enum import Enum

KEPT_EVENTS = 24


class By(Enum):
    START = "the start"
    PUT = "PUT"
    DELETE = "DELETE"
    FILE = "a file"
    IN_PLACE = "a file, in place"  # seen by others while it is written
    CHECK = "what a check found in the table"


@dataclass(eq=False)
class Write:
    """An image that was written, or (content None) deleted. The acknowledged one has `sure`."""

    by: By
    content: bytes | None
    sure: bool = False

    @property
    def sha256(self) -> str | None:
        return None if self.content is None else digest(self.content)

    def __str__(self) -> str:
        what = "nothing" if self.content is None else f"{digest(self.content)[:8]} ({len(self.content)} bytes)"
        return f"{what} by {self.by.value}{'' if self.sure else ', not acknowledged'}"


@dataclass
class Found:
    """What is stored under a path, in three places. None: nothing is there."""

    row: bytes | None  # a row in the trash is nothing
    file: bytes | None
    got: bytes | None  # by GET; None: 404


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def shown(content: bytes | None) -> str:
    return "nothing" if content is None else f"{digest(content)[:8]} ({len(content)} bytes)"


@dataclass
class Path:
    name: str
    possible: list[Write] = field(default_factory=lambda: [Write(By.START, None, True)])
    written: set[str] = field(default_factory=set)  # every content that this path ever had
    events: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_EVENTS))

    def begin(self, by: By, content: bytes | None) -> Write:
        write = Write(by, content)
        self.possible.append(write)
        if content is not None:
            self.written.add(digest(content))
        self.events.append(f"begin {write}")
        return write

    def acknowledge(self, write: Write) -> None:
        """What began before it can't be there any more."""
        if write not in self.possible:
            return
        write.sure = True
        del self.possible[: self.possible.index(write)]
        self.events.append(f"acknowledged: {write}")

    def refuse(self, write: Write, why: object) -> None:
        """It has surely changed nothing."""
        self.possible.remove(write)
        self.events.append(f"refused ({why}): {write}")

    def note(self, text: str) -> None:
        self.events.append(text)

    @property
    def certain(self) -> bool:
        return len(self.possible) == 1

    @property
    def unanswered(self) -> bool:
        """A request whose outcome nobody knows may have changed the row and not the file."""
        return any(not write.sure and write.by in (By.PUT, By.DELETE) for write in self.possible)

    def is_half(self, content: bytes | None) -> bool:
        """A file that was only half written when a flush stored it and a wipe took it: nobody can tell, from outside,
        that its writer was not done."""
        return content is not None and any(
            write.by is By.IN_PLACE and not write.sure and write.content.startswith(content)
            for write in self.possible
            if write.content is not None
        )

    def allows(self, content: bytes | None) -> bool:
        if self.is_half(content):
            return True
        return any(write.content == content for write in self.possible)

    def fault_of(self, content: bytes | None, where: str) -> str | None:
        """Why this must not be there; None when it may."""
        if self.allows(content):
            return None
        if content is None:
            kind = "lost"
        elif digest(content) not in self.written:
            kind = "torn, or never written"
        elif all(write.content is None for write in self.possible):
            kind = "back although it was deleted"
        else:
            kind = "an old state"
        return f"{where}: {kind}: {shown(content)}"

    def judge(self, found: Found) -> list[str]:
        """All that is wrong with what was found while nobody wrote and after all files were said to be persisted."""
        faults = [self.fault_of(found.row, "the row"), self.fault_of(found.got, "GET")]
        if found.file is not None:  # one that is missing is put back when it is asked for
            faults.append(self.fault_of(found.file, "the file"))
        if not self.unanswered:
            if found.got != found.row:
                faults.append(f"GET differs from the row: {shown(found.got)}, {shown(found.row)}")
            if found.file is not None and found.file != found.row:
                faults.append(f"the file differs from the row: {shown(found.file)}, {shown(found.row)}")
        return [fault for fault in faults if fault]

    def judge_restored(self, found: Found) -> list[str]:
        """Likewise, once all files are said to be restored."""
        if found.file == found.row or (found.row is None and self.unanswered):
            return []
        return [f"after a restore the file differs from the row: {shown(found.file)}, {shown(found.row)}"]

    def settle(self, found: Found) -> None:
        """What was found in the same state everywhere has to stay."""
        if found.got != found.row or found.file not in (found.row, None):
            return
        self.note(f"settled: {shown(found.row)}")
        if not (self.certain and self.possible[0].content == found.row):
            self.possible = [Write(By.CHECK, found.row, True)]
            if found.row is not None:
                self.written.add(digest(found.row))

    def told(self) -> str:
        lines = [f"{self.name}: possible are", *(f"    {write}" for write in self.possible), "  what happened:"]
        return "\n".join([*lines, *(f"    {event}" for event in self.events)])

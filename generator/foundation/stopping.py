"""Stopping by a signal: Ctrl-C (SIGINT) and a polite kill (SIGTERM), met where nothing is lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_STDERR = 2


class Stopped(KeyboardInterrupt):
    """A signal has ended the work; `number` is the signal's."""

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.number = number


def exit_code(number: int | None) -> int:
    """What a command that a signal has stopped ends with: 128 and its number; 130 as after Ctrl-C for None."""
    return 128 + (number or signal.SIGINT)


def end_by_sigterm() -> None:
    """Let SIGTERM raise Stopped in this process from now on, as Ctrl-C raises KeyboardInterrupt."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise Stopped(number)

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_IGN:
        signal.signal(signal.SIGTERM, end)


class StopRequest:
    """The first signal asks to stop at the next good place, a second one stops at once.

    `after` says where that place is, for the user. `number` is that of the signal, None before there was one.
    """

    def __init__(self, after: str) -> None:
        self.number: int | None = None
        self._after = after
        self._is_at_once = False

    def __call__(self) -> bool:
        """Say whether to stop."""
        return self.number is not None

    def check(self) -> None:
        """Raise Stopped where a signal asked for it."""
        if self.number is not None:
            raise Stopped(self.number)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        is_first, self.number = self.number is None, self.number or number
        # Ended by its parent, a process may get the whole group's signal, too: what must end at once is killed.
        is_child = multiprocessing.parent_process() is not None
        if (is_first and self._is_at_once) or not (is_first or is_child):
            raise Stopped(number)
        if is_first and not is_child:
            # Not through rich: the signal may have come in the middle of its own printing.
            with contextlib.suppress(OSError):
                os.write(_STDERR, f"\nstopping {self._after} (Ctrl-C again: at once)\n".encode())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let the first signal raise Stopped where it comes, for the length of a block that may be done again."""
        self._is_at_once = True
        try:
            yield
        finally:
            self._is_at_once = False

    @contextlib.contextmanager
    def listening(self) -> Iterator[StopRequest]:
        """Take over both signals for the length of a block; what this process ignores stays ignored.

        Only the main thread can: in another one nothing is taken over.
        """
        before = {number: signal.getsignal(number) for number in SIGNALS}
        taken = [number for number, handler in before.items() if handler not in (signal.SIG_IGN, None)]
        try:
            for number in taken:
                signal.signal(number, self._handle)
        except ValueError:
            taken = []
        try:
            yield self
        finally:
            for number in taken:
                signal.signal(number, before[number])

"""Real signals, sent by this process to itself."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from generator.foundation.stopping import Stopped, StopRequest, end_by_sigterm


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_stops_at_once(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    stop = StopRequest("after this page")
    with stop.listening():
        stop.check()
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert "stopping after this page (Ctrl-C again: at once)" in capfd.readouterr().err
        with pytest.raises(Stopped) as asked:
            stop.check()
        with pytest.raises(Stopped) as at_once:
            os.kill(os.getpid(), signal.SIGTERM)
    assert asked.value.number == stop.number == number
    assert at_once.value.number == signal.SIGTERM
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopRequest("").listening() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert not stop()
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_takes_nothing_over() -> None:
    entered = []

    def enter() -> None:
        with StopRequest("").listening():
            entered.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [signal.getsignal(signal.SIGTERM)]


def test_sigterm_is_met_as_ctrl_c_is() -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        end_by_sigterm()
        with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)

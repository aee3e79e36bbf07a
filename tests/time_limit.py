"""A pytest plugin: a test that fails is named at once. One that hangs is named too, with what its threads were doing, and
fails; the others go on.

TEST_LIMIT_S is the time a test has, with its fixtures: many times what the slowest one takes on a busy machine. The long
forms of some tests need more.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

TEST_LIMIT_S = int(os.environ.get("TEST_LIMIT_S", "900"))
END_S = 60  # for the test to fail by itself

_stderr = 2


def pytest_configure(config: Any) -> None:
    """Here file descriptor 2 is still the terminal, not pytest's capture of a test's output."""
    global _stderr
    _stderr = os.dup(2)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A run that is ended from outside never comes to its summary."""
    if report.failed and "PYTEST_XDIST_WORKER" not in os.environ:
        os.write(_stderr, f"\nFAILED {report.nodeid} ({report.when}, {report.duration:.1f} s)\n".encode())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    def fail(*_: Any) -> None:
        os.write(_stderr, f"\n{item.nodeid} takes longer than {TEST_LIMIT_S} s:\n".encode())
        faulthandler.dump_traceback(_stderr)
        faulthandler.dump_traceback_later(TEST_LIMIT_S + END_S, file=_stderr, exit=True)
        pytest.fail(f"takes longer than {TEST_LIMIT_S} s", pytrace=True)

    # A library that waits for a server takes no notice of signals. Then this process ends, which pytest-xdist reports
    # with the test's name, and starts another one.
    faulthandler.dump_traceback_later(TEST_LIMIT_S + END_S, file=_stderr, exit=True)
    # pytest-xdist may run the tests in another thread (execnet, when a worker was asked something before that, as -v
    # does). There is no handler then.
    handled = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, fail) if handled else None
    if handled:
        signal.setitimer(signal.ITIMER_REAL, TEST_LIMIT_S, TEST_LIMIT_S)
    yield
    if handled:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    faulthandler.cancel_dump_traceback_later()

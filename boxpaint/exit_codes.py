"""What the command line ends with when it did not do what was asked."""

import signal

USER_ERROR = 2


def of_signal(number: int | None) -> int:
    """130 for Ctrl-C (None, too), 143 for SIGTERM: 128 and the number of the signal."""
    return 128 + (number or signal.SIGINT)

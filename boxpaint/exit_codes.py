"""What the command line ends with when it did not do what was asked."""

USER_ERROR = 2
INTERRUPTED = 130
"""By Ctrl-C: 128 and the number of the signal."""

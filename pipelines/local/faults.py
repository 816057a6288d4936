"""The runner's own refusals."""


class Refused(Exception):
    """What was asked cannot be run as it is: one line, exit code 64, and nothing has been written."""

    code = 64

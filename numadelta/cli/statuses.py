"""The exit statuses of commands that a signal has ended."""

# What a shell shows for such a process: 128 and the number of the signal.
SIGNALS = {"SIGINT": 130, "SIGPIPE": 141, "SIGTERM": 143}

"""The command line: one module for each command, joined in ``main.py``.

Nothing here does what the engine doesn't offer to every program. A worker that runs an activity of the demo
imports this package: it stays empty.
"""

"""What lies in the file: every SQL text of the project, each with the invariant that it keeps.

``events`` is the truth, append-only. ``runs`` and ``timers`` are indexes of it that can be made again;
``engine`` is one row that says which engine may write, and how far it came.
"""

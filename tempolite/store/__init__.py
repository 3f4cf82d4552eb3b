"""What lies in the file: every SQL text of the project, each with the invariant that it keeps.

``events`` is the truth, append-only. All other tables are indexes of it that can be made again, as
``rebuilding.py`` says; but for ``engine``, one row that says which engine may write, and how far it came.
"""

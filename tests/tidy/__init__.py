"""The project's style as rules that a test can run.

What lives here: one function for each rule, which takes a file and gives what it finds. What never does:
judgement of names and meaning, which is left to readers.

::

    sources      the files, read and parsed once       shape        how long, how deep, how many, documented?
    boundaries   who may import and touch what         documents    what texts say of paths and each other

``tests/test_tidy.py`` runs the rules over the project, ``test_rules.py`` shows that each finds what it
looks for.
"""

"""What tests of workflows need: engines that can be crashed, time that can be moved, and a look at leaks.

::

    plugin      the fixtures, found by pytest by itself; imports nothing of the engine until one is asked for
    engines     the engines of one test: made here, in one place, and ended here
"""

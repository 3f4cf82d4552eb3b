"""What tests of workflows need: engines that can be crashed, time that can be moved, and a look at leaks.

::

    plugin          the fixtures, found by pytest by itself; free where they are not asked for
    engines         the engines of one test: made here, in one place, and ended here
    clock           their time, which the test moves
    actor_system    their actors, and the seed of the order in which they run
    message_log     what the actors told one another; message_text is how one message reads
    crash_points    a scenario that is killed after each of its commits
    leaks           what the test left behind
"""

"""What makes workflow code give something else on replay: found, said where, and with what to use instead.

::

    forbidden   the calls, and what to use instead: one table for all that follows
    code_look   a look at a function's code when it is registered: a warning for each place
    guard       a look at the calls it makes while it runs, under pytest and debug=True: they are refused
    places      which line of the user's code that was

Nothing here knows runs or the engine; nothing is imported to be looked at.
"""

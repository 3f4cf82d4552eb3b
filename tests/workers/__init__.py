"""Worker processes that die, hang, lie and leave things behind, and an engine that must not mind.

What lives here: real processes, real signals, small time-outs. What never does: waiting for a time instead
of for something; activities block in C, in a loop or on a lock, and a deadline guards every wait.

::

    activities   what the zoo does in its workers            calls       how a test runs one of them
    processes    children, descriptors, threads, and the end of a process, as the kernel tells them
"""

"""The engine in other people's frameworks: thin helpers over its public calls.

Each module needs the package that it is named for, and nothing here is imported by anything below.
``starlette`` is for Starlette and FastAPI, ``daemon`` for a program that runs until a signal ends it.
"""

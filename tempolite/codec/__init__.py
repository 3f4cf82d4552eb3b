"""Values on their way into the database and back, and callables on their way to our own workers.

::

     value ──▶ tagging ──▶ tree ──▶ JSON text        JsonCodec.encode
     value ◀── untagging ◀── tree ◀── JSON text      JsonCodec.decode
                  │
     plain_values │ datetimes, Decimal, UUID, bytes …
     typed_values │ what is known by the name of its class
       records    │   dataclasses, structs, models, namedtuples, enums: field by field
       exceptions │   exceptions: by arguments and attributes
     type_names     names to classes: registered, or in modules already imported
     annotations    the classes that a function's annotations mention

     callables      functions by name
     shipping       functions to workers, by dill where no name leads to them
       holdings       what must not go along: locks, files, connections
       class_recipes  enums and structs, which dill can't copy

A *tree* is what JSON can hold. What JSON has no notation for is ``{"$": tag, "v": ...}``; a tag with a colon
names a class. Nothing here imports a module, or runs code, because a payload says so; only ``shipping``
knows dill, and nothing read from a database goes there.
"""

from __future__ import annotations

from tempolite.codec.callables import importable_name, resolve_name
from tempolite.codec.json_codec import JsonCodec
from tempolite.codec.protocol import Codec
from tempolite.codec.shipping import dump_callable, load_callable, load_shipped
from tempolite.codec.type_names import TypeChanged, TypeNotFound

__all__ = [
    "Codec",
    "JsonCodec",
    "TypeChanged",
    "TypeNotFound",
    "dump_callable",
    "importable_name",
    "load_callable",
    "load_shipped",
    "resolve_name",
]

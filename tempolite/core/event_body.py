"""What every event's body is."""

from __future__ import annotations

import msgspec


class Body(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What happened, without where and when."""

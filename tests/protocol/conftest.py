from __future__ import annotations

from hypothesis import settings

# A busy machine makes single examples slow; how long one takes says nothing about the code.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

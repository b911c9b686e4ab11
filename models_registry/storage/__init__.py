"""Where artifact bytes lie: one small interface, one module per kind of store (``docs/operators/storage.md``)."""

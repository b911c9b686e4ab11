"""What both ends must agree on: messages, sketches, features, manifests, digests, identities.

Imported by the control plane and by the device agent; depends on neither, nor on Django.
``docs/protocol/device.md`` is the prose of this package.
"""

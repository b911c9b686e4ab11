"""A protocol-true control plane in memory, for tests of the agent and of the simulator.

It has a real image repository (TUF metadata signed by real keys) and tests bend it:
``plane.repository.expire()``, ``plane.corrupt(...)``, ``plane.is_down = True``. The real server has its own
tests against the very same devices.
"""

"""The devices' door of rollouts: hawkBit DDI, and our agent's resource."""

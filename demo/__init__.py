"""The story `make demo` tells: real models, real agents, simulated devices, through the product's own doors.

Nothing in here is needed by the product, and nothing in the product knows of it but one door (``tour/``).
"""

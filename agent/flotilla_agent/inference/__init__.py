"""The run loop: a source of inputs, the models that answer them, and windows that say how it went."""

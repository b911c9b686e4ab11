"""The update state machine: a table, the deeds of its steps, and a state file written before each deed."""

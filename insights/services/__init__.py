"""What insights changes: nothing of its own, jobs of everybody."""

"""What governance writes."""

"""What all parts keep to."""

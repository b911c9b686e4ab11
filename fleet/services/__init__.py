"""What the fleet writes."""

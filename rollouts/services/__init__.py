"""What rollouts write."""

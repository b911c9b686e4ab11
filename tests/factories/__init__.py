"""Makes what tests need, through the product's own services, minimal by default."""

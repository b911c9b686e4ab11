"""What the product is compared with: each well configured, none of it shipped."""

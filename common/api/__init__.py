"""What the REST doors of all apps share."""

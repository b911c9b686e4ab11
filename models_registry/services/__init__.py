"""What the registry does: every write goes through here."""

"""Models, versions, variants, validation, artifacts, storage and signing."""

"""What insights shows: reads across the apps, scoped to the caller's organization."""

"""Object store emulators: real protocols, on this machine only."""

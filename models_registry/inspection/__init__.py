"""What model files are: one inspector module per format. Runs inside the sandbox only, so nothing here knows Django."""

"""Model files and evaluation sets, sound and hostile; made by ``make_assets.py``."""

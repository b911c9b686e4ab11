"""Figures: each a ratio of two things measured in turn in one go. ``make bench ONLY=<prefix>``.

One module per subject; a module registers its figures with ``harness.ratio`` or ``harness.number`` and is found by its
place in this folder. The comparator of a figure is well configured and lives here too.
"""

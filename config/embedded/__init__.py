"""The embedded installation behind ``make demo``: environment, database and processes from one folder.

``bootstrap`` makes the Python environment with nothing but the standard library; ``python -m config.embedded``
then supervises the database and the product's processes until Ctrl-C. Production runs the same processes under
another supervisor; only what a person would otherwise install by hand is made here.
"""

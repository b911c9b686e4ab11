"""Decisions of insights: values in, values out."""

"""Devices: hardware profiles, sites, enrolment, identity, and the device ledgers."""

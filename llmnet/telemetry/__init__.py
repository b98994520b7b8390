"""Counts and logs calls, and passes their events to hooks."""

"""Showing a Report: one HTML page, an overlay video, tables for the terminal."""

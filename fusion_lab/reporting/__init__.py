"""Showing results: tables of scores and the HTML page."""

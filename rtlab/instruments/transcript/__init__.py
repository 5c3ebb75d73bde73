"""Transcripts: what went over the wire, as rows in an order, as text, as a picture and as a file.

It must not know the tap, which makes the rows.
"""

"""Checking: what clients of a chat saw goes in, a verdict on what the chat promised comes out.

happenings.py   what can happen to a client, as frozen values
history.py      all of it in the order of one observer's clock: ``rtlab.History``
history_file.py the file of a history
recorder.py     writes a history down as it happens
wording.py      the words for what happened
problems.py     the guarantees, and what can be wrong with each
sightings.py    what a history says about each message and each client
delivery_rules.py  message_rules.py  the guarantees as rules
observation.py  what was not observed, without which no "pass" can be given
story.py        a problem in plain English
smallest.py     the smallest history that shows it
checker.py      all of that in one verdict: ``rtlab.check``
verdict.py      the verdict and its findings
timeline.py     the picture, with timeline_rows.py and fault_spans.py

It must not know how clients, servers or faults work.
"""

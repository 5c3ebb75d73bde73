"""The soak: a cluster of the chat is written into while it is disturbed, and a checker judges what was seen.

plan.py       what one round does: how many messages, who writes, which faults
chat_app.py   the chat as its workers run it
witness.py    writes down what one client sees, as the checker wants it
writer.py     one client: it writes, reads, leaves and comes back, and takes a last look
round.py      one round: starts all, lets the faults happen, heals, waits until it is quiet, has it judged
outcome.py    what came out, as a table
"""

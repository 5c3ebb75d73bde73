"""Faults: what makes a running system suffer, and lets go of it again. The journey of bytes through the fault proxy:

target.py        what the proxy stands in front of, and the URL that clients connect to instead
proxy.py         accepts connections, and disturbs all of them or those that you pick
connection.py    one of them: what disturbs it now, and what has become of it
faulty_relay.py  copies its bytes (`../relay.py`) late, or not at all, and cuts it in each way that TCP knows
waiting.py       bytes that are late or stopped, and when they are due
sieve.py         reads HTTP as far as it takes to find Socket.IO, and takes acks out of long-polling
ack_frames.py    takes them out of the frames of a WebSocket
ack_packets.py   says which packet is an ack, from its first bytes

And the journey of a fault:

schedule.py      which one comes when, counted in messages: made from a seed, printed, read back
runner.py        begins each step when its time has come, and undoes it, whatever happens
making.py        what a step does to a cluster or to a proxy, and how that is undone
processes.py     stops, continues and kills processes of ours
"""

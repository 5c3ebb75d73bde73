"""Where clients come in: how many connections there may be, how long a request may take to arrive, what a body may be.

A connection, from the kernel to a handler: `acceptor` takes it, within `limits`; `http` gives it to aiohttp, with a
deadline for the head and one for the body; `bodies` refuses a body that somebody would have to inflate.
"""

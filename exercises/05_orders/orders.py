"""Exercise 05: take orders. Write the body of `register`, then run `rtlab grade 05`."""

from collections.abc import Awaitable, Callable

import socketio

Save = Callable[[str, int], Awaitable[int]]
"""Stores an order, `await save(item, qty)`, and gives its number."""

ANSWER_WITHIN_S = 1.0
"""Seconds within which an order is answered, whatever becomes of it."""
LONGEST_MESSAGE = 200
"""Characters that the message of an error may have."""


def register(sio: socketio.AsyncServer, save: Save) -> None:
    """Have the server take orders: clients send `order:place` with {"item": "tea", "qty": 3}.

    A good order is one argument, a dictionary, with

    - "item": a string of 1 to 40 characters, not all of them blanks,
    - "qty": a whole number from 1 to 99, an int. True is no number, and 4.0 is no int.

    Other fields are ignored. A good order is saved once, as it is, and acknowledged with {"status": "ok", "id": …},
    where the id is what `save` gave. Two orders that are alike are two orders.

    Whatever else comes is not saved, and acknowledged with {"status": "error", "code": …, "message": …}. The message
    is a sentence of yours, of at most `LONGEST_MESSAGE` characters, for the people who write the client:

    - "invalid": this is no good order. The message names the field ("item", "qty") and shows what came instead, so
      that the number 5 and the text "5" look different. Where there is not one argument, or it is no dictionary, it
      says so.
    - "failed": `save` raised an exception. What that says is our business, and not the client's: it goes to the log, by
      way of Python's `logging`.
    - "late": `save` has not come back in time. It gets at least half of `ANSWER_WITHIN_S`. Then its call is cancelled,
      so that hanging calls do not pile up. Nobody knows yet whether the order will be stored.

    Every `order:place` that asks for an acknowledgement gets it within `ANSWER_WITHIN_S`, and the connection lives on.
    That holds for each of several orders that a client sends at the same time. One that asks for none is treated
    alike, only that nothing is sent back.

    Args:
        sio: the server. It has no handlers yet. There may be several, each with a `save` of its own.
        save: stores an order. It may raise any `Exception`, a TimeoutError too, and it may take very long.
    """
    raise NotImplementedError

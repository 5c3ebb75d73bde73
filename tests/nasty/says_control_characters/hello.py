r"""Costs: Your code raised Exception: \\x1b\[2J\\x1b\]0;title\\x07\\x9b1A\\u202egnorw \\x00\\x08 \(hello\.py, line \d+\)$"""


async def greet(connection):
    print("\x1b[1;32m5 of 5\x1b[0m\r\x0b\x0c\x85\u2028\u202e")
    raise Exception("\x1b[2J\x1b]0;title\x07\x9b1A\u202egnorw \x00\x08")  # noqa: TRY002 - nobody shall look at its name

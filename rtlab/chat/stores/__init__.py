"""Where the chat keeps what outlasts a connection: what a store has to offer, and stores that do."""

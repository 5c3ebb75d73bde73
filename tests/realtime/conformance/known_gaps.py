"""What a server is known not to do, and why. A gap that has been mended shows as a failure: take its line out."""

__all__ = ["KNOWN_GAPS"]

NO_REFUSAL = "python-socketio logs what it cannot read, if anything, and goes on with the connection"
NO_ATTACHMENT = "python-socketio waits for attachments that will never come, and takes whatever is next for one"
NO_RESERVED = "python-socketio has no reserved event names: the handler of that name is called, whatever it is for"
NO_ANSWER = (
    "python-engineio waits for the client to fetch what is queued before it answers, and the client waits for it"
)

PLAIN = {
    "fractions_of_a_second_are_told": "python-engineio cuts the interval to whole seconds before it advertises it",
    "polling_without_a_transport_is_refused": "python-engineio takes a missing transport for polling",
    "an_unknown_transport_is_refused": "python-engineio takes an empty transport for polling",
    "a_handshake_by_put_is_refused": "python-engineio has no route for it: aiohttp answers 405",
    "a_post_to_a_closed_session_is_refused": "python-engineio raises KeyError: aiohttp answers 500",
    "a_refusal_says_why": "python-engineio answers with a text of its own",
    "a_post_is_answered_ok": 'python-engineio answers "OK"',
    "a_burst_in_one_body_is_taken": "python-engineio takes 16 packets from a body, and drops all of a longer one",
    "a_malformed_body_closes_the_session": NO_ANSWER,
    "a_body_that_is_too_large_is_refused": NO_ANSWER,
    "a_second_post_closes_the_session": "python-engineio does not count POSTs",
    "a_second_get_closes_the_session": NO_ANSWER,
    "a_close_packet_ends_the_waiting_get": "python-engineio lets the GET wait on",
    "what_is_no_packet_closes_the_websocket": "python-engineio passes over a type that it does not know",
    "a_ping_of_the_client_closes": "python-engineio passes over it",
    "a_close_packet_ends_the_websocket": "python-engineio ends the session, and leaves the WebSocket open",
    "the_websocket_brings_messages_only": "python-engineio may send the NOOP for the GET over the WebSocket",
    "a_second_websocket_during_an_upgrade_is_closed": "python-engineio tries both",
    "an_unknown_namespace_is_refused": 'python-socketio says "Unable to connect", as a text',
    "an_unknown_namespace_is_refused (MessagePack)": 'python-socketio says "Unable to connect", as a text',
    "an_event_before_connect_closes": "python-socketio passes over it",
    "an_event_before_connect_closes (MessagePack)": "python-socketio passes over it",
    "an_event_for_a_namespace_that_was_not_joined_closes": "python-socketio passes over it",
    "an_event_for_a_namespace_that_was_not_joined_closes (MessagePack)": "python-socketio passes over it",
    "a_client_that_never_connects_is_closed": "python-socketio has no limit for it",
    "a_disconnect_with_data": "python-socketio takes it for a DISCONNECT",
    "a_disconnect_with_data (MessagePack)": "python-socketio takes it for a DISCONNECT",
    "an_id_that_is_no_number (MessagePack)": "python-socketio acknowledges with the same id, whatever it is",
    "text_in_the_place_of_an_attachment": "python-socketio takes it for the attachment",
    **dict.fromkeys(
        (
            "a_binary_event_without_a_count",
            "a_placeholder_beyond_the_attachments",
            "a_placeholder_that_is_no_number",
            "more_attachments_than_anybody_needs",
        ),
        NO_ATTACHMENT,
    ),
    **dict.fromkeys(
        (
            "an_unknown_type",
            "type_7",
            "an_event_without_data",
            "an_event_with_an_object",
            "an_event_with_a_text",
            "an_event_with_an_empty_list",
            "an_event_whose_name_is_null",
            "an_event_whose_name_is_an_object",
            "an_event_with_broken_json",
            "an_event_with_something_after_the_json",
            "an_id_that_is_no_number",
            "an_acknowledgement_with_an_object",
            "an_acknowledgement_with_a_text",
            "a_connect_with_a_list",
            "a_connect_with_broken_json",
            "a_count_that_is_no_number",
            "an_attachment_that_nobody_announced",
            "text_where_messagepack_is_spoken (MessagePack)",
            "bytes_that_are_no_messagepack (MessagePack)",
            "messagepack_that_is_no_object (MessagePack)",
            "a_packet_without_a_namespace (MessagePack)",
            "a_packet_without_a_type (MessagePack)",
            "an_unknown_type (MessagePack)",
            "an_event_without_data (MessagePack)",
            "an_event_with_an_empty_list (MessagePack)",
            "an_event_with_an_object (MessagePack)",
            "an_acknowledgement_with_an_object (MessagePack)",
        ),
        NO_REFUSAL,
    ),
    **dict.fromkeys(
        (
            "an_event_called_connect",
            "an_event_called_connect_error",
            "an_event_called_disconnect",
            "an_event_called_disconnecting",
            "an_event_called_newListener",
            "an_event_called_removeListener",
        ),
        NO_RESERVED,
    ),
}
NODE = {
    "a_close_packet_ends_the_websocket": "engine.io passes over a CLOSE packet that comes over WebSocket",
    "a_websocket_session_has_no_second_websocket": "engine.io closes it only when upgradeTimeout, 10 s, is over",
    "an_event_without_data": "socket.io-parser looks at the data only where there are some",
    "an_event_with_an_empty_list (MessagePack)": "socket.io-msgpack-parser asks for a list, empty or not",
}

KNOWN_GAPS: dict[str, dict[str, str]] = {"plain": PLAIN, "node": NODE, "ours": {}}
"""By the kind of server and the name of the behaviour."""

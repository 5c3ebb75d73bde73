"""The official JavaScript parsers, asked in one go: what do they make of these?

Bytes travel as ``{"$bytes": "hex"}``; JSON has none.
"""

from typing import Any

import rtlab

SCRIPT = """
const thaw = (value) => {
  if (Array.isArray(value)) return value.map(thaw);
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$bytes === "string") return Buffer.from(value.$bytes, "hex");
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, thaw(each)]));
};
const freeze = (value) => {
  if (Buffer.isBuffer(value)) return { $bytes: value.toString("hex") };
  if (Array.isArray(value)) return value.map(freeze);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, freeze(each)]));
};
const attempt = (work) => (each) => {
  try { return work(each); } catch (error) { return { error: String(error.message) }; }
};

const engineio = require("engine.io-parser");
const parser = require("socket.io-parser");
const msgpack = require("socket.io-msgpack-parser");
const decode = (Decoder) => (frames) => {
  const found = [];
  const decoder = new Decoder();
  decoder.on("decoded", (packet) => found.push({ ...packet, undefined: packet.data === undefined }));
  for (const frame of frames) decoder.add(frame);
  return found;
};
const work = {
  engineio: (text) => {
    const packets = engineio.decodePayload(text);
    let again;
    engineio.encodePayload(packets, (encoded) => { again = encoded; });
    return {
      packets: packets.map(({ type, data = "" }) =>
        typeof data === "string" ? { type, text: data } : { type, hex: data.toString("hex") }),
      again,
    };
  },
  decode: decode(parser.Decoder),
  encode: (packet) => new parser.Encoder().encode(packet),
  decodeMsgpack: decode(msgpack.Decoder),
  encodeMsgpack: (packet) => new msgpack.Encoder().encode(packet),
}[job];
return freeze(thaw(items).map(attempt(work)));
"""


async def ask_javascript(job: str, items: list[Any]) -> list[Any]:
    """What each item becomes: engineio, decode, encode, decodeMsgpack or encodeMsgpack."""
    run = await rtlab.node(SCRIPT, job=job, items=freeze(items))
    return thaw(run.value)


def freeze(value: Any) -> Any:
    """Bytes as JSON can hold them."""
    if isinstance(value, bytes):
        return {"$bytes": value.hex()}
    if isinstance(value, list | tuple):
        return [freeze(each) for each in value]
    return {key: freeze(each) for key, each in value.items()} if isinstance(value, dict) else value


def thaw(value: Any) -> Any:
    """Bytes again."""
    if isinstance(value, list):
        return [thaw(each) for each in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$bytes"]:
        return bytes.fromhex(value["$bytes"])
    return {key: thaw(each) for key, each in value.items()}

// What this window knows of one room: its messages in order, where some may be missing, who is here, who types, what is
// still to be sent. It must not know the document or the connection.

/** Messages that are kept. What is older leaves the window, and memory and the document stay small. */
export const KEPT = 500;

/** An offset, "milliseconds-number", as what can be compared: two integers of up to 64 bits. */
function position(offset) {
  const [milliseconds, number] = offset.split("-");
  return [BigInt(milliseconds), BigInt(number)];
}

/** Which of two offsets comes first: negative, 0 or positive. */
function compare(one, other) {
  const [a, b] = [position(one), position(other)];
  if (a[0] !== b[0]) return a[0] < b[0] ? -1 : 1;
  return a[1] === b[1] ? 0 : a[1] < b[1] ? -1 : 1;
}

export class Room {
  /** Messages, and {gap: true} after the message behind which some may be missing; sorted by offset. */
  items = [];
  /** Names of who is here, one per user. */
  members = [];
  /** Who types: name to the timer that ends it. */
  typing = new Map();
  /** What is to be sent: {clientId, text, state: "waiting", "sending" or "failed", tries, ends, refused, problem}. */
  pending = [];
  unread = 0;
  /** What stands in the input while another room is in front. */
  draft = "";
  /** "joining"; "in"; "out": the server has refused it. */
  state = "joining";
  /** Why it is "out". */
  problem = null;
  /** The offset up to which nothing is missing that is not shown as a gap; null before the first history. */
  upTo = null;
  /** Whether there are older messages that are not here. */
  older = false;
  #known = new Set();

  constructor(name) {
    this.name = name;
  }

  /**
   * Put a message where it belongs. One that is here already is dropped: it may come in a history and live.
   * @returns {{item: Object, before: Object|undefined, dropped: Object[]}|null}  `before`: what it stands before;
   *   `dropped`: what was given up for it
   */
  add(message) {
    return this.#insert({ ...message, key: message.offset });
  }

  /** Note that messages may be missing after this offset. */
  addGap(offset, sentence) {
    return this.#insert({ gap: true, offset, sentence, key: `${offset} gap` });
  }

  #insert(item) {
    if (this.#known.has(item.key)) return null;
    let index = this.items.length;
    while (index > 0 && follows(this.items[index - 1], item)) index -= 1;
    const before = this.items[index];
    this.items.splice(index, 0, item);
    this.#known.add(item.key);
    const dropped = this.items.splice(0, Math.max(0, this.items.length - KEPT));
    for (const each of dropped) this.#known.delete(each.key);
    if (dropped.length) this.older = true;
    return { item, before, dropped };
  }

  /** The message of ours that carries this id has arrived. Gives it, or undefined if it was not waited for. */
  settle(clientId) {
    const index = this.pending.findIndex((each) => each.clientId === clientId);
    return index < 0 ? undefined : this.pending.splice(index, 1)[0];
  }

  /** A live message has come, and nothing before it is still to be fetched. */
  follow(offset) {
    if (compare(offset, this.upTo) > 0) this.upTo = offset;
  }
}

/** Whether an item that is here stands after one that is to be put in. A gap stands after the message of its offset. */
function follows(here, item) {
  const order = compare(here.offset, item.offset);
  return order > 0 || (order === 0 && Boolean(here.gap) && !item.gap);
}

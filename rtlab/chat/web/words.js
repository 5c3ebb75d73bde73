// What the page says to people: problems, times, numbers.

/** Why something was not done. `code` is one of the server's, or "gone", "cut", "timeout" and "outbox_full" of our own. */
export class Problem extends Error {
  constructor(code, message = "") {
    super(message);
    this.code = code;
  }
}

const WORDS = {
  not_a_member: "You are not in this room any more.",
  forbidden: "This room is not open to you.",
  rooms_full: "There is no place for another room now. Try again later.",
  too_many_rooms: "You are in as many rooms as one can be in. Leave one first.",
  room_full: "This room is full. Try again later.",
  rate_limited: "That was too much at once. Wait a moment.",
  unavailable: "The server cannot reach its store at present. Try again in a moment.",
  server_error: "The server failed. It is not your fault; try again.",
  gone: "The connection is gone.",
  cut: "Each time this was sent, the connection ended. Edit it, or try again.",
  timeout: "The server does not answer.",
  outbox_full: "As many messages wait to be sent as can be kept. Wait until some have arrived, then send this one again.",
};

const SIGNED_OUT = {
  token_expired: "Your token is over. Sign in with a new one, and you go on where you were.",
  token_invalid: "The server does not accept this token. Was it made for this chat?",
  token_missing: "The server wants a token.",
};

/** A problem in a sentence. */
export function inWords(problem) {
  if (!(problem instanceof Problem)) return `The page has a fault: ${problem}`;
  return WORDS[problem.code] ?? `The server did not take it: ${problem.message || problem.code}.`;
}

/** Why the server does not let one in, in a sentence. */
export function whySignedOut(code, message) {
  return SIGNED_OUT[code] ?? `The server does not let you in: ${message}.`;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const fullFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export function clock(milliseconds) {
  return clockFormat.format(milliseconds);
}

export function inFull(milliseconds) {
  return fullFormat.format(milliseconds);
}

/** Today, yesterday, or the date. */
export function day(milliseconds, now = Date.now()) {
  const date = new Date(now);
  if (sameDay(milliseconds, date)) return "Today";
  date.setDate(date.getDate() - 1);
  return sameDay(milliseconds, date) ? "Yesterday" : dayFormat.format(milliseconds);
}

export function sameDay(one, other) {
  return new Date(one).toDateString() === new Date(other).toDateString();
}

/** Who types. Names are set apart, so that one that is written from right to left turns nothing else around. */
export function whoTypes(names) {
  const [one, other] = names.map((name) => `\u2068${name}\u2069`);
  if (names.length === 0) return "";
  if (names.length === 1) return `${one} is typing …`;
  if (names.length === 2) return `${one} and ${other} are typing …`;
  return `${names.length} people are typing …`;
}

export function count(number, one, many) {
  return `${number} ${number === 1 ? one : many}`;
}

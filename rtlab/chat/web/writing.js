// What people write, made ready to be sent: names in the one spelling that the server takes, texts without what it
// refuses. It must not know the document. The server's rules stand in rtlab/chat/writing; where they are stricter, its
// own sentence is shown.

/** Half of a surrogate pair: a JavaScript string may hold one, UTF-8 cannot. */
const HALF_PAIR = /\p{Surrogate}/gu;
const REPLACEMENT = "\uFFFD";
/** What a terminal obeys instead of showing it, but for tabs and line ends. */
const CONTROLS = /[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const SELECTORS = /[\uFE0E\uFE0F]/g;
/** A pictograph that is text unless a selector follows, where the server wants it in full. */
const TEXT_FIRST =
  /(?=[\u2600-\u27BF\u{1F000}-\u{1FAFF}])(?=\p{Emoji})(?!\p{Emoji_Presentation})\p{Extended_Pictographic}(?!\p{Emoji_Modifier})/gu;
/** Arrows are text; at the end of a joined emoji they are not. */
const JOINED_ARROW = /\u200D[\u2194\u2195]/g;
/** Leaves no ink. Joiners and selectors may be part of an emoji. */
const UNSEEN =
  /(?![\u200D\uFE0F])[\p{Default_Ignorable_Code_Point}\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}\u2800\uFFFC]/u;

/** A text: each half of a pair becomes "\uFFFD", which people see, and controls are left out. */
export function tidyText(text) {
  return text.replace(HALF_PAIR, REPLACEMENT).replace(/\r\n?/g, "\n").replace(CONTROLS, "").trim();
}

/** A name: composed (NFC), with single blanks, and its emoji in full. */
export function tidyName(name) {
  const plain = name.replace(HALF_PAIR, REPLACEMENT).normalize("NFC").replace(/[\p{Zs}\t\r\n]+/gu, " ").trim();
  return plain.replace(SELECTORS, "").replace(TEXT_FIRST, "$&\uFE0F").replace(JOINED_ARROW, "$&\uFE0F");
}

/** Why a name is none, in a sentence; "" if nothing is to be said against it here. */
export function whyNoName(name) {
  const found = UNSEEN.exec(name);
  if (!found) return "";
  const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `This name holds a character that nobody can see (U+${code}). Type it again without that.`;
}
